"""What sources share that know their people, labels and keys once they are open."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


class ListedRecords:
    """Everything of a `RecordSource` but the records; a subclass sets the four fields, and reads in `__getitem__`."""

    _location: str
    _identities: Sequence[str]
    _labels: npt.NDArray[np.int64]
    _keys: Sequence[str]

    @property
    def location(self) -> str:
        """Where it was opened from, as a person would type it."""
        return self._location

    @property
    def identities(self) -> Sequence[str]:
        """(C,) names; the label is the position."""
        return self._identities

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """(N,) labels in 0..C-1, read-only."""
        return self._labels

    @property
    def keys(self) -> Sequence[str]:
        """(N,) unique keys."""
        return self._keys

    def __len__(self) -> int:
        return len(self._labels)

    def _counted(self, index: int) -> int:
        """Return the index counted from the start.

        Raises:
            IndexError: outside -N..N-1.
        """
        num = len(self)
        if not -num <= index < num:
            raise IndexError(f"{self.location} has {num} images, there is no number {index}")
        return int(index) % num

    def __repr__(self) -> str:
        return f"<{self.location}: {len(self):,} images of {len(self.identities):,} people>"
