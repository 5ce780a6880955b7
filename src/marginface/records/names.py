"""Millions of names without millions of Python strings: bytes, and where each name ends, decoded when asked for."""

from __future__ import annotations

import struct
import zlib
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import overload

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError

_CHUNK = 65_536
_PAIR = struct.Struct("<II")


class Names(Sequence[str]):
    """A sequence of names that compares equal to a tuple or list of the same names."""

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        """Return one name, or a tuple of them.

        Raises:
            IndexError: outside -N..N-1.
        """
        if isinstance(index, slice):
            return tuple(self.name_at(i) for i in range(*index.indices(len(self))))
        num = len(self)
        if not -num <= index < num:
            raise IndexError(f"there are {num} names, no number {index}")
        return self.name_at(int(index) % num)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as a list's: it would have to read all names

    @abstractmethod
    def name_at(self, index: int) -> str:
        """Return name number `index`, 0..N-1, where it is known to be one."""

    def crcs(self) -> npt.NDArray[np.uint32]:
        """Return (N,) CRC-32 of the names' bytes: enough to look for many of them at once."""
        return np.fromiter((crc_of(name) for name in self), np.uint32, count=len(self))


class NameBlock(Names):
    """Names that lie in one piece of memory, most often mapped from a file."""

    def __init__(self, ends: memoryview, text: memoryview, *, where: str) -> None:
        """Keep the pieces.

        Args:
            ends: N + 1 little endian u32, places in `text`; name i lies between ends[i] and ends[i + 1].
            text: the names' bytes.
            where: what to name if they do not fit together.
        """
        self._ends, self._text, self._where = ends, text, where
        self._num_bytes = len(text)

    def __len__(self) -> int:
        return len(self._ends) // 4 - 1

    def name_at(self, index: int) -> str:
        start, end = _PAIR.unpack_from(self._ends, 4 * index)
        return self._decoded(start, end, index)

    def __iter__(self) -> Iterator[str]:
        all_ends = np.frombuffer(self._ends, "<u4")
        for start in range(0, len(self), _CHUNK):
            ends = all_ends[start : min(start + _CHUNK, len(self)) + 1].tolist()
            for i in range(len(ends) - 1):
                yield self._decoded(ends[i], ends[i + 1], start + i)

    def crcs(self) -> npt.NDArray[np.uint32]:
        """Return (N,) CRC-32 of the names' bytes."""
        ends = np.frombuffer(self._ends, "<u4").tolist()
        return np.fromiter((zlib.crc32(self._text[a:b]) for a, b in pairwise(ends)), np.uint32, count=len(self))

    def _decoded(self, start: int, end: int, index: int) -> str:
        if not start <= end <= self._num_bytes:
            raise InputError(f"{self._where} is damaged: name number {index} lies outside it; convert again.")
        return str(self._text[start:end], "utf-8", "surrogateescape")


class JoinedNames(Names):
    """Blocks of names, one after the other, each fetched when it is asked for."""

    def __init__(
        self,
        starts: Sequence[int],
        block: Callable[[int], Names],
        crcs: Callable[[], npt.NDArray[np.uint32]] | None = None,
    ) -> None:
        """Keep how to reach them.

        Args:
            starts: (blocks + 1,) number of the first name of each block; the last is N.
            block: gives block number k.
            crcs: gives the stored CRC-32 of all names, where they are stored.
        """
        self._starts, self._block, self._crcs = list(starts), block, crcs

    def __len__(self) -> int:
        return self._starts[-1]

    def name_at(self, index: int) -> str:
        number = bisect_right(self._starts, index) - 1
        return self._block(number).name_at(index - self._starts[number])

    def __iter__(self) -> Iterator[str]:
        for number in range(len(self._starts) - 1):
            yield from self._block(number)

    def crcs(self) -> npt.NDArray[np.uint32]:
        """Return (N,) CRC-32 of the names' bytes."""
        if self._crcs is not None:
            return self._crcs()
        parts = [self._block(number).crcs() for number in range(len(self._starts) - 1)]
        return np.concatenate([np.zeros(0, np.uint32), *parts])


class ChosenNames(Names):
    """Some names of a sequence, in an order of their own."""

    def __init__(self, names: Sequence[str], indices: npt.NDArray[np.integer]) -> None:
        self._names, self._indices = names, indices

    def __len__(self) -> int:
        return len(self._indices)

    def name_at(self, index: int) -> str:
        return self._names[int(self._indices[index])]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _CHUNK):
            for index in self._indices[start : start + _CHUNK].tolist():
                yield self._names[index]

    def crcs(self) -> npt.NDArray[np.uint32]:
        """Return (N,) CRC-32 of the names' bytes."""
        crcs: npt.NDArray[np.uint32] = crcs_of(self._names)[self._indices]
        return crcs


def crc_of(name: str) -> int:
    """Return the CRC-32 of a name's bytes. Names of files need not be UTF-8: such bytes come back as they were."""
    return zlib.crc32(name.encode("utf-8", "surrogateescape"))


def crcs_of(names: Sequence[str]) -> npt.NDArray[np.uint32]:
    """Return (N,) `crc_of` each name, without decoding them where they are stored."""
    if isinstance(names, Names):
        return names.crcs()
    return np.fromiter((crc_of(name) for name in names), np.uint32, count=len(names))


def positions_of(wanted: Sequence[str], names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return (M,) where each wanted name stands in `names`, -1 where it does not; the last place if there are several.

    The CRCs are looked at first, so that 42 million names are neither decoded nor put into a dictionary.
    """
    crcs = crcs_of(wanted)
    seen = np.zeros(1 << 22, dtype=bool)  # a filter of the low bits, 4 MB: it leaves few names for the exact look
    seen[crcs & (len(seen) - 1)] = True
    all_crcs = crcs_of(names)
    hits = [
        start + np.flatnonzero(seen[all_crcs[start : start + _CHUNK] & (len(seen) - 1)])
        for start in range(0, len(names), _CHUNK)
    ]
    candidates = np.concatenate(hits) if hits else np.zeros(0, np.int64)
    candidates = candidates[np.isin(all_crcs[candidates], crcs)]
    numbers: dict[str, list[int]] = {}
    for i, name in enumerate(wanted):
        numbers.setdefault(name, []).append(i)
    found = np.full(len(wanted), -1, dtype=np.int64)
    for place in candidates.tolist():
        for i in numbers.get(names[place], ()):
            found[i] = place
    return found
