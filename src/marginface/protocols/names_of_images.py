"""Images found among a source's keys by what a protocol's files call them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError


class ImageNames:
    """Finds images by key, or by file name with or without folders and extension."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = keys
        self._place = {key: i for i, key in enumerate(keys)}
        self._by_name: dict[str, int] = {}
        self._ambiguous: set[str] = set()
        for i, key in enumerate(keys):
            path = PurePosixPath(key)
            for name in {path.name, path.stem, f"{path.parent.name}/{path.stem}"}:
                if self._by_name.setdefault(name, i) != i:
                    self._ambiguous.add(name)

    def find(self, name: str) -> int | None:
        """Return the position of an image, or None where it is not there or its name fits several."""
        if name in self._place:
            return self._place[name]
        path = PurePosixPath(name)
        for word in (f"{path.parent.name}/{path.stem}", path.name, path.stem):
            if word in self._by_name and word not in self._ambiguous:
                return self._by_name[word]
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
