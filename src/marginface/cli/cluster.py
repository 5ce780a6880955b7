"""`marginface cluster ./photos --out DIR`: the people of an album, a folder each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from marginface.cli.arguments import parse
from marginface.cli.progress import progress_bars


def cluster(
    photographs: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PHOTOS")],
    out: Path,
    model: Path | None = None,
    fmr: float = 1e-3,
    score: float | None = None,
    min_faces: int = 2,
    min_eye_distance: float = 7.0,
    detector: Path | None = None,
    workers: int = 2,
) -> None:
    """Sort the faces of an album into a folder for each person; folders that you rename keep their faces and names.

    Run it again after renaming folders, moving faces or adding photographs: what was done by hand stays, and new faces
    join the people they look like.

    Args:
        photographs: A folder of photographs and of further folders.
        out: Folder of faces; made, or brought up to date.
        model: A model or run folder; that of MARGINFACE_MODEL unless given.
        fmr: Groups are one person where their mean score reaches the threshold for this false match rate.
        score: That score itself, in place of the card's threshold.
        min_faces: Smaller groups go to the folder unsorted.
        min_eye_distance: Faces with fewer pixels between the eyes go there too.
        detector: A detector's file; YuNet, which is downloaded on first use, unless given.
        workers: Threads that decode and detect.
    """
    from marginface.recognition import open_detector, open_model
    from marginface.recognition.album import cluster_album

    with progress_bars() as show:
        album = cluster_album(
            photographs,
            out,
            model=open_model(model),
            detector=open_detector(detector, progress=show),
            fmr=fmr,
            score=score,
            min_faces=min_faces,
            min_eye_distance=min_eye_distance,
            workers=workers,
            progress=show,
        )
    for name, count in sorted(album.people.items(), key=lambda item: (-item[1], item[0])):
        print(f"{count:6,}  {name}")
    by_hand = f"{album.num_by_hand:,} of the faces placed by hand"
    print(f"{album.folder}: {len(album.people):,} people, {album.num_unsorted:,} faces unsorted, {by_hand}")
    print(f"mean score from {album.threshold:.3f}, average linkage")
    for reason, count in sorted(album.missed.items()):
        print(f"{count:,} of {album.num_photographs:,} photographs: {reason}")


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(cluster, words, "cluster")
    return 0
