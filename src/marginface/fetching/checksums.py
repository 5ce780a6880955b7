"""What a downloaded file must be: the checksum on record or, where there is none, that of the first download."""

from __future__ import annotations

from pathlib import Path

import pooch

from marginface.errors import InputError
from marginface.fetching.registry import UNRECORDED, PublicFile


def expected_checksum(file: PublicFile, folder: Path) -> str | None:
    """Return `algorithm:hex` of what the file must be, None the first time that an unrecorded one is seen.

    Raises:
        InputError: the note of the first download was spoilt.
    """
    if file.checksum != UNRECORDED:
        return file.checksum
    note = remembered_in(file, folder)
    if not note.exists():
        return None
    words = note.read_text(encoding="utf-8", errors="replace").split()
    if not words or len(words[0]) != 64:
        raise InputError(f"{note}: this file should begin with a SHA-256; delete it to trust {file.name} anew.")
    return f"sha256:{words[0].lower()}"


def checksum_of(path: Path, like: str) -> str:
    """Return the `algorithm:hex` of a file, by the algorithm of another checksum."""
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{pooch.file_hash(str(path), alg=algorithm)}"


def remember(file: PublicFile, folder: Path) -> None:
    """Write down what came the first time, as sha256sum writes it, so that `sha256sum -c` can check it too."""
    digest = pooch.file_hash(str(folder / file.name))
    remembered_in(file, folder).write_text(f"{digest}  {file.name}\n", encoding="utf-8")


def remembered_in(file: PublicFile, folder: Path) -> Path:
    """Return where that is written down."""
    return folder / f"{file.name}.sha256"
