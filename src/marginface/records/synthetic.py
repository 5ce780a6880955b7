"""Random images with labels that cost nothing to read: for measuring everything but the disk.

insightface's `SyntheticDataset` serves the same purpose with one image of one class; here classes and a small pool of
images vary, so that heads and samplers have something to do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.records.record import Record
from marginface.records.recordio_names import KeyNames

_POOL = 64
_MAX_SIDE = 512


class SyntheticImages:
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
        self._num = _whole(number, "the number of images", 2**32)
        num_people = _whole(people, "people", min(self._num, 2**31))
        side = _whole(size, "size", _MAX_SIDE)
        self._location = f"synthetic:{number}?people={people}&size={size}"
        self._labels = np.arange(self._num, dtype=np.int64) % num_people
        self._labels.flags.writeable = False
        self._keys = KeyNames(None, 0, self._num)
        self._identities = KeyNames(None, 0, num_people)
        self._pool = np.random.default_rng(0).integers(0, 256, (_POOL, side, side, 3), dtype=np.uint8)

    @property
    def location(self) -> str:
        """Where it was opened from, as a person would type it."""
        return self._location

    @property
    def identities(self) -> Sequence[str]:
        """(C,) numbers as names; the label is the position."""
        return self._identities

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """(N,) labels in 0..C-1, read-only."""
        return self._labels

    @property
    def keys(self) -> Sequence[str]:
        """(N,) numbers as names."""
        return self._keys

    def __len__(self) -> int:
        return self._num

    def __getitem__(self, index: int) -> Record:
        if not -self._num <= index < self._num:
            raise IndexError(f"{self.location} has {self._num} images, there is no number {index}")
        index = int(index) % self._num
        label = int(self._labels[index])
        return Record(key=str(index), image=self._pool[index % _POOL], label=label, identity=str(label))

    def __repr__(self) -> str:
        return f"<{self.location}: {len(self):,} images of {len(self.identities):,} people>"


def _whole(value: str | int, what: str, highest: int) -> int:
    if not str(value).isdecimal() or not 1 <= int(value) <= highest:
        raise InputError(f"synthetic: {what} is a whole number of 1 to {highest:,}, not {str(value)!r}.")
    return int(value)
