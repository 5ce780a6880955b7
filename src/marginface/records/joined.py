"""Several sources as one: their images one after another, their people side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.records.listed import ListedRecords
from marginface.records.names import Names
from marginface.records.record import Record, RecordSource


class JoinedRecords(ListedRecords):
    """A `RecordSource` over several, in their order. Names are made when asked for, so that millions cost nothing.

    Each has a prefix that its keys and identities begin with (`distractors/...`), so that nobody of one is taken for
    somebody of another; an empty prefix leaves names as they are.
    """

    def __init__(self, sources: Mapping[str, RecordSource]) -> None:
        """Join.

        Args:
            sources: by prefix; at least one.

        Raises:
            InputError: a key that occurs twice, which only an empty prefix makes possible.
        """
        self.sources = dict(sources)
        self._parts = tuple(self.sources.values())
        self._location = " and ".join(part.location for part in self._parts)
        self._starts = _starts([len(part) for part in self._parts])
        self._label_starts = _starts([len(part.identities) for part in self._parts])
        prefixes = tuple(self.sources)
        self._identities = _Prefixed(prefixes, [part.identities for part in self._parts])
        self._keys = _Prefixed(prefixes, [part.keys for part in self._parts])
        if len(prefixes) > 1 and "" in prefixes and len(set(self._keys)) != len(self):
            raise InputError(f"{self.location}: images of the joined sources have the same keys.")

    @cached_property
    def labels(self) -> npt.NDArray[np.int64]:
        """(N,) labels in 0..C-1 over the people of all sources."""
        shifted = [part.labels + first for part, first in zip(self._parts, self._label_starts, strict=False)]
        return np.concatenate(shifted).astype(np.int64, copy=False)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many images each source has."""
        return tuple(len(part) for part in self._parts)

    def set_of(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return (B,) the number of the source that each of the images belongs to."""
        return _number_of(self._starts, indices)

    def labels_within_set(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return (B,) the labels of the images within their own sources, as a head for one source needs them."""
        return np.asarray(self.labels[indices] - self._label_starts[self.set_of(indices)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> Record:
        """Return the record under its joined key, label and identity.

        Raises:
            IndexError: outside -N..N-1.
            InputError: whatever its source refuses.
        """
        index = self._counted(index)
        number = int(_number_of(self._starts, index))
        record = self._parts[number][index - int(self._starts[number])]
        label = record.label + int(self._label_starts[number])
        return dataclasses.replace(record, key=self._keys[index], label=label, identity=self._identities[label])


class _Prefixed(Names):
    """The names of several sequences, each with its prefix."""

    def __init__(self, prefixes: Sequence[str], parts: Sequence[Sequence[str]]) -> None:
        self._prefixes, self._parts = tuple(prefixes), tuple(parts)
        self._starts = _starts([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def name_at(self, index: int) -> str:
        number = int(_number_of(self._starts, index))
        prefix, name = self._prefixes[number], self._parts[number][index - int(self._starts[number])]
        return f"{prefix}/{name}" if prefix else name


def _starts(sizes: Sequence[int]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _number_of(starts: npt.NDArray[np.int64], indices: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return which part each index lies in."""
    return np.asarray(np.searchsorted(starts, indices, side="right") - 1)
