"""A source that gives another source's records, changed as they are read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from marginface.records.record import RecordSource


class Wrapped:
    """Everything as in `source`; a subclass says in `__getitem__` what becomes of a record."""

    source: RecordSource

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
    def keys(self) -> Sequence[str]:
        """(N,) as the source's."""
        return self.source.keys

    def __len__(self) -> int:
        return len(self.source)
