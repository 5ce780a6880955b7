"""Random images with labels that cost nothing to read: for measuring everything but the disk.

insightface's `SyntheticDataset` serves the same purpose with one image of one class; here classes and a small pool of
images vary, so that heads and samplers have something to do.
"""

from __future__ import annotations

import numpy as np

from marginface.errors import InputError
from marginface.records.listed import ListedRecords
from marginface.records.record import Record
from marginface.records.recordio_names import KeyNames

_POOL = 64
_MAX_SIDE = 512


class SyntheticImages(ListedRecords):
    """N decoded images of noise; image i shows person i modulo the number of people."""

    def __init__(self, number: str | int, *, people: str | int = 1000, size: str | int = 112) -> None:
        """Draw the pool.

        Args:
            number: N, the images.
            people: C, at most N.
            size: side, pixels.

        Raises:
            InputError: a number out of range.
        """
        num = _whole(number, "the number of images", 2**32)
        num_people = _whole(people, "people", min(num, 2**31))
        side = _whole(size, "size", _MAX_SIDE)
        self._location = f"synthetic:{number}?people={people}&size={size}"
        self._labels = np.arange(num, dtype=np.int64) % num_people
        self._labels.flags.writeable = False
        self._keys = KeyNames(None, 0, num)
        self._identities = KeyNames(None, 0, num_people)
        self._pool = np.random.default_rng(0).integers(0, 256, (_POOL, side, side, 3), dtype=np.uint8)

    def __getitem__(self, index: int) -> Record:
        index = self._counted(index)
        label = int(self._labels[index])
        return Record(key=str(index), image=self._pool[index % _POOL], label=label, identity=str(label))


def _whole(value: str | int, what: str, highest: int) -> int:
    if not str(value).isdecimal() or not 1 <= int(value) <= highest:
        raise InputError(f"synthetic: {what} is a whole number of 1 to {highest:,}, not {str(value)!r}.")
    return int(value)
