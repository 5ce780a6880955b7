"""`marginface search TEAM.db photo.jpg`: who is on photographs, of the people in a gallery."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import tyro

from marginface.cli.arguments import parse
from marginface.cli.gallery_faces import GalleryArgument, Which, looking, open_with_model
from marginface.cli.progress import progress_bars


def search(
    gallery: GalleryArgument,
    photos: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PHOTO ...")],
    top_k: int = 1,
    fmr: float | None = None,
    fpir: float | None = None,
    threshold: float | None = None,
    model: Path | None = None,
    faces: Which = "all",
    aligned: bool = False,
    detector: Path | None = None,
    workers: int = 2,
    json: bool = False,
) -> None:
    """Say who is on photographs: file, name or unknown, score, and with --top-k the next candidates, separated by tabs.

    Args:
        gallery: As it was created.
        photos: Photographs, or folders of them.
        top_k: Candidates to name for each face.
        fmr: False match rate of one comparison, 1e-4 unless another of the three is given. With N people enrolled a
            stranger is named in 1 - (1 - FMR)^N of searches.
        fpir: That share of searches itself, instead.
        threshold: A cosine, instead.
        model: The gallery's model; where it was when the gallery was made unless given.
        faces: Which of several faces in a photograph are looked for.
        aligned: The pictures are aligned crops already; look for no face.
        detector: A detector's file; YuNet, which is downloaded on first use, unless given.
        workers: Threads that decode and detect.
        json: Print one JSON object a face instead.
    """
    import sys
    from dataclasses import asdict
    from json import dumps

    from marginface.recognition.photographs import photographs_in

    listed = [photograph for path in photos for photograph in photographs_in(path)]
    opened, face_model = open_with_model(gallery, model)
    with opened, progress_bars() as show:
        seen = looking(aligned=aligned, which=faces, detector=detector, workers=workers, show=show)(listed)
        vectors = face_model.embed(seen, flip=opened.settings.flip) if len(seen.crops) else []
        found = opened.search(vectors, top_k=top_k, fmr=fmr, fpir=fpir, threshold=threshold) if len(vectors) else []
    for photograph, result in zip(seen.photographs, found, strict=True):
        if json:
            print(dumps({"file": photograph} | asdict(result), ensure_ascii=False))
            continue
        more = (f"{c.name} {c.score:.3f}" for c in result.candidates) if top_k > 1 else ()
        score = f"{result.score:.3f}" if math.isfinite(result.score) else "-"  # nobody is enrolled
        print("\t".join([photograph, result.name or "unknown", score, *more]))
    for sentence in seen.missed:
        print(sentence, file=sys.stderr)
    if found:
        print(f"{found[0].point.words()}.", file=sys.stderr)


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(search, words, "search")
    return 0
