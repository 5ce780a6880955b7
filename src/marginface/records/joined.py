"""Several sources one after the other, as one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.records.record import Record, RecordSource


class JoinedRecords:
    """A `RecordSource` over several, in their order.

    Each has a prefix that its keys and identities begin with (`distractors/...`), so that nobody of one is taken for
    somebody of another; an empty prefix leaves names as they are.
    """

    def __init__(self, sources: Mapping[str, RecordSource]) -> None:
        """Join.

        Args:
            sources: by prefix; at least one.

        Raises:
            InputError: a key that occurs twice.
        """
        self.sources = dict(sources)
        self._starts = np.cumsum([0, *(len(one) for one in self.sources.values())])
        people = np.cumsum([0, *(len(one.identities) for one in self.sources.values())])
        self._keys = tuple(_prefixed(prefix, key) for prefix, one in self.sources.items() for key in one.keys)
        self._identities = tuple(_prefixed(p, name) for p, one in self.sources.items() for name in one.identities)
        shifted = [
            np.asarray(one.labels) + first for one, first in zip(self.sources.values(), people[:-1], strict=True)
        ]
        self._labels = np.concatenate(shifted).astype(np.int64)
        if len(set(self._keys)) != len(self._keys):
            raise InputError(f"{self.location}: images of the joined sources have the same keys.")

    @property
    def location(self) -> str:
        """All of them, as a person would type them."""
        return " and ".join(one.location for one in self.sources.values())

    @property
    def identities(self) -> tuple[str, ...]:
        """(C,) names with their prefix."""
        return self._identities

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """(N,) labels in 0..C-1."""
        return self._labels

    @property
    def keys(self) -> tuple[str, ...]:
        """(N,) keys with their prefix."""
        return self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, index: int) -> Record:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.location} has {len(self)} images, there is no number {index}")
        index = index % len(self)
        number = int(np.searchsorted(self._starts, index, "right")) - 1
        record = list(self.sources.values())[number][index - int(self._starts[number])]
        label = int(self._labels[index])
        return dataclasses.replace(record, key=self._keys[index], label=label, identity=self._identities[label])


def _prefixed(prefix: str, name: str) -> str:
    return f"{prefix}/{name}" if prefix else name
