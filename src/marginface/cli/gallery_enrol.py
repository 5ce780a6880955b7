"""`marginface gallery enrol TEAM.db PHOTOS`: photographs of one person, or a folder of people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from marginface.cli.arguments import parse
from marginface.cli.gallery_faces import GalleryArgument, as_png, looking, open_with_model
from marginface.cli.progress import progress_bars

PEOPLE_AT_ONCE = 16
"""Whose photographs are looked at and embedded in one go."""


def enrol(
    gallery: GalleryArgument,
    photos: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PHOTOS")],
    name: str = "",
    model: Path | None = None,
    faces: Literal["largest", "central"] = "largest",
    aligned: bool = False,
    replace: bool = False,
    allow_duplicates: bool = False,
    detector: Path | None = None,
    workers: int = 2,
) -> None:
    """Add people, or images of people who are enrolled already. What was done when it is interrupted is kept.

    Args:
        gallery: As it was created.
        photos: Photographs of the person NAME; without --name, folders of people: PHOTOS/Ada/any.jpg, PHOTOS/Ada.jpg.
        name: Whose photographs these are.
        model: The gallery's model; where it was when the gallery was made unless given.
        faces: Which of several faces in a photograph is the person.
        aligned: The pictures are aligned crops already; look for no face.
        replace: Instead of the images that these people have.
        allow_duplicates: Enrol people though they look like somebody with another name.
        detector: A detector's file; YuNet, which is downloaded on first use, unless given.
        workers: Threads that decode and detect.
    """
    import sys

    import numpy as np

    from marginface.errors import InputError
    from marginface.recognition.find import person_of
    from marginface.recognition.photographs import photographs_in

    groups: dict[str, list[Any]] = {}
    for photograph in (one for path in photos for one in photographs_in(path)):
        groups.setdefault(name or person_of(photograph.name), []).append(photograph)
    opened, face_model = open_with_model(gallery, model)
    with opened, progress_bars() as show:
        look = looking(aligned=aligned, which=faces, detector=detector, workers=workers, show=show)
        policy, flip, refused = opened.settings.policy, opened.settings.flip, 0
        for first in range(0, len(groups), PEOPLE_AT_ONCE):
            chunk = list(groups.items())[first : first + PEOPLE_AT_ONCE]
            seen = look([photograph for _, group in chunk for photograph in group])
            problems = list(seen.missed)
            embedded = face_model.embed(seen, flip=flip).vectors
            for who, group in chunk:
                names = {photograph.name for photograph in group}
                rows = np.array([i for i, photograph in enumerate(seen.photographs) if photograph in names], dtype=int)
                crops = [as_png(seen.crops[i]) for i in rows] if policy.keep_crops else None
                try:
                    if not len(rows):
                        raise InputError(f"{who!r} was not enrolled: no face was found.")
                    told = opened.enrol(
                        who, embedded[rows], crops=crops, replace=replace, allow_duplicate=allow_duplicates
                    )
                    poor = [seen.photographs[rows[i]] for i in told.too_poor]
                    problems += [f"{photograph}: below the minimum quality, left out." for photograph in poor]
                    print(f"{told.name}\t{told.num_images} images added, {told.images_in_all} in all")
                except InputError as error:
                    refused += 1
                    problems.append(str(error))
            for problem in problems:
                print(problem, file=sys.stderr)
            show("enrolling", first + len(chunk), len(groups))
        print(
            f"{opened.store.location}: {len(opened):,} people; {refused} of {len(groups)} refused now", file=sys.stderr
        )
    if refused == len(groups):
        raise InputError("nobody was enrolled.")


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(enrol, words, "gallery enrol")
    return 0
