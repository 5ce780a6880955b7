"""Images found among a source's keys by what a protocol's files call them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError


def names_of(key: str) -> tuple[str, str, str]:
    """Return the file name, the name without extension, and that with its folder, of a path with slashes.

    As `PurePosixPath` has them, in a tenth of its time: sets have millions of keys.

    Example:
        >>> names_of("faces/ada/ada_0001.jpg")
        ('ada_0001.jpg', 'ada_0001', 'ada/ada_0001')
    """
    folders, _, file = key.rstrip("/").rpartition("/")
    dot = file.rfind(".")
    stem = file[:dot] if 0 < dot < len(file) - 1 else file
    return file, stem, f"{folders[folders.rfind('/') + 1 :]}/{stem}"


class ImageNames:
    """Finds images by key, or by file name with or without folders and extension."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = keys
        self._place = {key: i for i, key in enumerate(keys)}

    @cached_property
    def _by_name(self) -> dict[str, int | None]:
        """Positions by the shorter forms of names; None where one fits several keys. Where all are keys, not needed."""
        found: dict[str, int | None] = {}
        for i, key in enumerate(self.keys):
            for name in {*names_of(key)}:
                found[name] = None if name in found else i
        return found

    def find(self, name: str) -> int | None:
        """Return the position of an image, or None where it is not there or its name fits several."""
        if name in self._place:
            return self._place[name]
        file, stem, with_folder = names_of(name)
        for word in (with_folder, file, stem):
            place = self._by_name.get(word)
            if place is not None:
                return place
        return None

    def positions(self, names: Sequence[str], where: str) -> npt.NDArray[np.int64]:
        """Return (len(names),) positions.

        Raises:
            InputError: a name that is not found or fits several keys; `where` names the file that uses it.
        """
        found = [self.find(name) for name in names]
        missing = [name for name, place in zip(names, found, strict=True) if place is None]
        if missing:
            example = f" (its first is {self.keys[0]!r})" if len(self.keys) else ""
            raise InputError(
                f"{where}: {len(missing):,} of {len(names):,} images, first {missing[0]!r}, are not found by one key "
                f"among the {len(self.keys):,} images of the source{example}; is this the data of another set?"
            )
        return np.array(found, np.int64)
