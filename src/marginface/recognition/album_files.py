"""The folder of an album on disk: what an earlier run and a person left there, and how it is brought up to date."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError, WorkError
from marginface.images.degrade import encode_jpeg
from marginface.recognition.rows import write_rows

UNSORTED, REMOVED = "unsorted", "removed by hand"
COLUMNS = ("face", "file", "left", "top", "width", "height", "person", "by_hand", "score")
AUTOMATIC = re.compile(r"person-(\d{3,})")
_FACE_FILE = re.compile(r".*-([0-9a-f]{12})\.jpg")


def refuse_other_folder(out: Path) -> None:
    """Refuse to sort faces into a folder of something else.

    Raises:
        InputError: it exists, is not empty, and is no album.
    """
    lists = (out / "album.csv", out / "album.next.csv")
    if out.exists() and not any(path.exists() for path in lists) and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"{out}: this is no album (there is no album.csv in it); choose another folder.")


@dataclass(frozen=True, eq=False, kw_only=True)
class AlbumFiles:
    """What an earlier run and a person left behind."""

    rows: Mapping[str, dict[str, Any]]
    """{face: its line}."""
    places: Mapping[str, Path]
    """{face: its file}."""
    by_hand: Mapping[str, str]
    """{face: the folder that a person gave it}."""
    removed: frozenset[str]

    @classmethod
    def read(cls, out: Path) -> AlbumFiles:
        """Return what is in the folder of an album, which need not exist.

        Raises:
            InputError: its list of faces is damaged.
        """
        written = [_read_rows(out / name) for name in ("album.csv", "album.next.csv")]  # the second: of a killed run
        rows = {key: row for lines in written for key, row in lines.items()}
        places = {}
        for path in sorted(out.glob("*/*.jpg")):
            found = _FACE_FILE.fullmatch(path.name)
            if found:
                places[found[1]] = path
        put = {key: {lines[key]["person"] for lines in written if key in lines} for key in rows}
        moved = {key for key, path in places.items() if key in put and path.parent.name not in put[key]}
        touched = {places[key].parent.name for key in moved} - {UNSORTED}
        by_hand = {
            key: path.parent.name
            for key, path in places.items()
            if path.parent.name in touched
            or not is_automatic(path.parent.name)
            or (key in rows and str(rows[key]["by_hand"]) == "True" and path.parent.name == rows[key]["person"])
        }
        shown = {key for key, lines in put.items() if REMOVED not in lines and key in written[0]}
        gone = {key for key, lines in put.items() if REMOVED in lines} | (shown - set(places))
        return cls(rows=rows, places=places, by_hand=by_hand, removed=frozenset(gone - set(places)))


def is_automatic(name: str) -> bool:
    """Return whether a folder's name is one that nobody gave it."""
    return name == UNSORTED or AUTOMATIC.fullmatch(name) is not None


def _read_rows(path: Path) -> dict[str, dict[str, Any]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error
    if rows and set(rows[0]) != set(COLUMNS):
        raise InputError(f"{path}: this is not an album's list of faces; its columns are {', '.join(COLUMNS)}.")
    return {row["face"]: dict(row) for row in rows}


@dataclass(frozen=True, eq=False)
class NewPlace:
    """Where a face shall lie, and what of."""

    folder: str
    photograph: str
    crop: npt.NDArray[np.uint8]


def write_album(
    out: Path, rows: Sequence[Mapping[str, Any]], faces: Mapping[str, NewPlace], before: AlbumFiles
) -> None:
    """Bring the folders up to date; album.next.csv says what is meant while they are not yet so.

    Args:
        out: the album.
        rows: of `COLUMNS`.
        faces: {face: where it shall lie}.
        before: where they lie now.

    Raises:
        WorkError: the disk refused; the next run goes on from what is there.
    """
    write_rows(out / "album.next.csv", rows, columns=COLUMNS)
    try:
        for key, new in faces.items():
            stem = PurePosixPath(new.photograph).stem
            place = before.places.get(key, Path())
            target = out / new.folder / (place.name if key in before.places else f"{stem}-{key}.jpg")
            if target == place:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if key in before.places:
                os.replace(place, target)
            else:
                aside = target.with_name(f".{target.name}.tmp")
                aside.write_bytes(encode_jpeg(new.crop))
                os.replace(aside, target)
        for folder_path in out.iterdir():
            if folder_path.is_dir() and is_automatic(folder_path.name) and not any(folder_path.iterdir()):
                folder_path.rmdir()
        os.replace(out / "album.next.csv", out / "album.csv")
    except OSError as error:
        raise WorkError(
            f"{out}: could not be written ({error.strerror or error}); run the same command again."
        ) from error
