"""A source under plain names: `identity/000.jpg`, numbered within each person in the source's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from marginface.records.record import Record, RecordSource


class Numbered:
    """The same records with keys that say whose image it is and which of theirs, as mindface's rec2jpg names them."""

    def __init__(self, source: RecordSource) -> None:
        self.source = source
        order = np.argsort(source.labels, kind="stable")
        counts = np.bincount(source.labels, minlength=len(source.identities))
        starts = np.cumsum(counts) - counts
        self._numbers = np.empty(len(source), dtype=np.int64)
        self._numbers[order] = np.arange(len(source)) - np.repeat(starts, counts)
        self._digits = max(3, len(str(int(counts.max(initial=1)) - 1)))

    @property
    def location(self) -> str:
        """Where the source was opened from."""
        return self.source.location

    @property
    def identities(self) -> Sequence[str]:
        """(C,) as the source's."""
        return self.source.identities

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """(N,) as the source's."""
        return self.source.labels

    @property
    def keys(self) -> tuple[str, ...]:
        """(N,) `identity/number`, with as many digits as the largest number needs, three at least."""
        return tuple(self._key(i) for i in range(len(self)))

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Record:
        return replace(self.source[index], key=self._key(index))

    def _key(self, index: int) -> str:
        identity = self.source.identities[int(self.source.labels[index])]
        return f"{identity}/{int(self._numbers[index]):0{self._digits}d}"
