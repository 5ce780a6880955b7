"""A source in memory with everything that a record can have, for round trips between formats."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from marginface.errors import InputError
from marginface.records.record import Record


class MadeUp:
    """Records from lists: key, image, label, and perhaps landmarks and meta."""

    def __init__(
        self,
        images: Sequence[bytes],
        labels: Sequence[int],
        *,
        keys: Sequence[str] | None = None,
        identities: Sequence[str] | None = None,
        landmarks: Mapping[int, np.ndarray] | None = None,
        meta: Mapping[int, Mapping[str, Any]] | None = None,
    ) -> None:
        self.location = "made up"
        self.images = list(images)
        self.labels = np.array(labels, dtype=np.int64)
        num_people = int(self.labels.max(initial=-1)) + 1
        self.identities = tuple(identities if identities is not None else (f"person_{i}" for i in range(num_people)))
        self.keys = tuple(keys if keys is not None else (f"{i:04d}.jpg" for i in range(len(self.images))))
        self.landmarks, self.meta = dict(landmarks or {}), dict(meta or {})

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Record:
        label = int(self.labels[index])
        return Record(
            key=self.keys[index],
            image=self.images[index],
            label=label,
            identity=self.identities[label],
            landmarks=self.landmarks.get(index),
            meta=self.meta.get(index, {}),
        )


class Stops(MadeUp):
    """The same, and reading it fails after so many reads, as a kill or Ctrl-C would end the work."""

    def __init__(self, source: MadeUp, *, reads: float = math.inf, error: BaseException | None = None) -> None:
        vars(self).update(vars(source))
        self.reads_left, self.error = reads, error or InputError("stopped")
        self.read: list[int] = []

    def __getitem__(self, index: int) -> Record:
        if not self.reads_left:
            raise self.error
        self.reads_left -= 1
        self.read.append(index)
        return super().__getitem__(index)


def assert_same_records(one: Any, other: Any) -> None:
    """Assert that two sources have the same people, labels, keys, bytes, landmarks and meta, in the same order."""
    assert list(one.identities) == list(other.identities)
    assert list(one.keys) == list(other.keys)
    assert np.array_equal(one.labels, other.labels)
    for i in range(len(one)):
        a, b = one[i], other[i]
        assert (a.key, a.image, a.label, a.identity, dict(a.meta)) == (
            b.key,
            b.image,
            b.label,
            b.identity,
            dict(b.meta),
        )
        assert (a.landmarks is None) == (b.landmarks is None)
        assert a.landmarks is None or np.array_equal(a.landmarks, b.landmarks)
