"""`marginface data align DIR --out tar:faces.tar`: photographs into aligned faces, with a log of what is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from marginface.cli.arguments import parse
from marginface.cli.progress import progress_bars


def align(
    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")],
    out: str,
    faces: Literal["largest", "central", "all"] = "largest",
    size: int = 112,
    min_eye_distance: float = 0.0,
    detector: Path | None = None,
    workers: int = 2,
) -> None:
    """Find the faces of all photographs below a folder, and write them as aligned records that can be trained on.

    Stopped at any moment, the same command goes on where it was.

    Args:
        folder: DIR/person/photograph; the first folder is the identity.
        out: tar:faces.tar, folder:faces or another format that can be written; it must not exist yet.
        faces: Which of several faces in a photograph is taken.
        size: Side of the crops in pixels.
        min_eye_distance: Leave out faces with fewer pixels between the eyes.
        detector: A detector's file; YuNet, which is downloaded on first use, unless given.
        workers: Threads that decode and detect.
    """
    from marginface.recognition.align_folder import align_folder
    from marginface.recognition.defaults import open_detector

    with progress_bars() as show:
        done = align_folder(
            folder,
            out,
            detector=open_detector(detector, progress=show),
            which=faces,
            size=size,
            min_eye_distance=min_eye_distance,
            workers=workers,
            progress=lambda now, total: show("photographs", now, total),
        )
    print(f"{done.out}: {done.num_faces:,} faces of {done.num_identities:,} people")
    print(
        f"{done.num_photographs:,} photographs, {done.photographs_without:,} of them without a face among the records"
    )
    for reason, count in sorted(done.rejected.items()):
        print(f"left out, {reason}: {count:,}")
    print(f"logs: {done.faces}, {done.rejects}")


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(align, words, "data align")
    return 0
