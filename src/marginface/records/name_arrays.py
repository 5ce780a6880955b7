"""Names as two arrays, which can be kept in a cache, mapped, and shared by workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from marginface.records.names import Names

_CHUNK = 65_536


class ArrayNames(Names):
    """Names in one array of bytes, decoded when asked for."""

    def __init__(self, ends: npt.NDArray[np.int64], text: npt.NDArray[np.uint8]) -> None:
        """Keep the arrays.

        Args:
            ends: (N + 1,) places in `text`; name i lies between ends[i] and ends[i + 1].
            text: the names' UTF-8 bytes.
        """
        self._ends, self._text = ends, text

    def __len__(self) -> int:
        return len(self._ends) - 1

    def name_at(self, index: int) -> str:
        """Return name number `index`, 0..N-1."""
        return _decoded(self._text[self._ends[index] : self._ends[index + 1]].tobytes())

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _CHUNK):
            ends = self._ends[start : start + _CHUNK + 1]
            text = self._text[ends[0] : ends[-1]].tobytes()
            places = (ends - ends[0]).tolist()
            for i in range(len(places) - 1):
                yield _decoded(text[places[i] : places[i + 1]])


def name_arrays(names: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Return the arrays `ends` and `text` of `ArrayNames`."""
    stored = [name.encode("utf-8", "surrogateescape") for name in names]
    ends = np.zeros(len(stored) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, stored), np.int64, count=len(stored)), out=ends[1:])
    return ends, np.frombuffer(b"".join(stored), np.uint8)


def _decoded(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
