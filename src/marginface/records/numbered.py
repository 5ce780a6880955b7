"""A source under plain names: `identity/000.jpg`, numbered within each person in the source's order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from marginface.records.record import Record, RecordSource
from marginface.records.wrapped import Wrapped


class Numbered(Wrapped):
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
    def keys(self) -> tuple[str, ...]:
        """(N,) `identity/number`, with as many digits as the largest number needs, three at least."""
        return tuple(self._key(i) for i in range(len(self)))

    def __getitem__(self, index: int) -> Record:
        return replace(self.source[index], key=self._key(index))

    def _key(self, index: int) -> str:
        identity = self.source.identities[int(self.source.labels[index])]
        return f"{identity}/{int(self._numbers[index]):0{self._digits}d}"
