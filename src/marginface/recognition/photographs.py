"""A folder, a file, or pictures in memory -> the photographs to look at, in a fixed order."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marginface.errors import InputError
from marginface.records.indexed import IMAGE_SUFFIXES

_PHOTOGRAPH_SUFFIXES = IMAGE_SUFFIXES | {".gif", ".jp2", ".heic", ".heif", ".avif", ".svg"}
"""The last four cannot be read; listed all the same, so that somebody hears of it."""


@dataclass(frozen=True, eq=False)
class Photograph:
    """One picture and what it is called."""

    name: str
    """Unique among those looked at together; below a folder its path there, "/"-separated."""
    picture: Any
    """What `read_photograph` takes."""


def photographs_in(folder: str | Path) -> list[Photograph]:
    """Return the photographs of a folder and all folders in it, sorted by name; a single file is one photograph.

    Told by their suffix. Hidden files and folders are passed over.

    Raises:
        InputError: there is nothing of that name, or no photograph in it.
    """
    folder = Path(folder)
    if folder.is_file():
        return [Photograph(folder.name, folder)]
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder or file.")
    names = sorted(_names(folder))
    if not names:
        raise InputError(f"{folder}: there is no photograph in it ({', '.join(sorted(IMAGE_SUFFIXES))}).")
    return [Photograph(name, folder / name) for name in names]


def as_photographs(pictures: Any) -> list[Photograph]:
    """Return what a caller means by `pictures`: a folder, a single picture, or several of them.

    Raises:
        InputError: see `photographs_in`.
    """
    if isinstance(pictures, (str, Path)) and os.path.isdir(pictures):
        return photographs_in(pictures)
    if isinstance(pictures, (list, tuple)) or (isinstance(pictures, Iterable) and isinstance(pictures, Iterator)):
        return [_named(picture, i) for i, picture in enumerate(pictures)]
    return [_named(pictures, 0)]


def is_single(pictures: Any) -> bool:
    """Return whether `pictures` is one picture, whose faults are the caller's to hear of at once."""
    return not isinstance(pictures, (list, tuple, Iterator)) and not (
        isinstance(pictures, (str, Path)) and os.path.isdir(pictures)
    )


def _named(picture: Any, number: int) -> Photograph:
    if isinstance(picture, Photograph):
        return picture
    return Photograph(str(picture) if isinstance(picture, (str, Path)) else f"image {number}", picture)


def _names(folder: Path) -> Iterator[str]:
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in _PHOTOGRAPH_SUFFIXES:
                yield (Path(here) / name).relative_to(folder).as_posix()
