"""What every source of image files shares: names in a fixed order, dense labels, bytes read on demand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from marginface.errors import InputError
from marginface.records.index_cache import Arrays
from marginface.records.listed import ListedRecords
from marginface.records.name_arrays import ArrayNames, name_arrays
from marginface.records.record import Record

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
"""File names, in lower case, that count as images. Only the name is looked at here; decoding goes by content."""

MANY_NAMES = 200_000


class IndexedImages(ListedRecords, ABC):
    """A `RecordSource` over files that are listed once and read one by one."""

    def __init__(self, *, location: str, index: Arrays) -> None:
        """Keep the index.

        Args:
            location: as a person would type it.
            index: what `numbered` gives.
        """
        self._location = location
        self._keys = _names(index, "key")
        self._identities = _names(index, "person")
        self._labels = index["labels"]
        self._labels.flags.writeable = False

    def __getitem__(self, index: int) -> Record:
        """Return the record with its file's bytes.

        Raises:
            IndexError: outside -N..N-1.
            InputError: the file cannot be read any more.
        """
        index = self._counted(index)
        label = int(self._labels[index])
        try:
            image = self._read(index)
        except OSError as error:
            raise InputError(f"{self.location}: {self._keys[index]} cannot be read any more ({error}).") from error
        return Record(key=self._keys[index], image=image, label=label, identity=self._identities[label])

    @abstractmethod
    def _read(self, index: int) -> bytes:
        """Return the bytes of file number `index`, 0..N-1."""


def numbered(*, keys: Sequence[str], identity_of: Sequence[str], order: Sequence[str]) -> Arrays:
    """Return the index of N images as arrays, which can be kept and mapped.

    Args:
        keys: (N,) unique names.
        identity_of: (N,) the identity of each key.
        order: (C,) all identities; the label is the position.
    """
    label_of = {name: label for label, name in enumerate(order)}
    labels = np.fromiter((label_of[name] for name in identity_of), np.int64, count=len(keys))
    arrays: Arrays = {"labels": labels}
    for what, names in (("key", keys), ("person", order)):
        arrays[f"{what}_ends"], arrays[f"{what}_text"] = name_arrays(names)
    return arrays


def _names(index: Arrays, what: str) -> Sequence[str]:
    """Return a tuple of few names, which is quick; of many a view of the arrays, which workers share."""
    names = ArrayNames(index[f"{what}_ends"], index[f"{what}_text"])
    return names if len(names) > MANY_NAMES else tuple(names)


def is_image_name(name: str) -> bool:
    """Return whether a file of this name (without folders) counts as an image: a known suffix, not hidden."""
    _, dot, suffix = name.rpartition(".")
    return not name.startswith(".") and dot + suffix.lower() in IMAGE_SUFFIXES


def in_order(labels: set[str]) -> list[str]:
    """Return labels of a list in the order in which they are numbered: whole numbers by value, others by name."""
    return sorted(labels, key=int) if all(label.isdecimal() for label in labels) else sorted(labels)
