"""The schema that everything else speaks: one image of one identity, and a source of many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One image of one identity, still encoded unless it was never on disk."""

    key: str
    """Unique within its source, "/"-separated: `Ada_Lovelace/0001.jpg`."""
    image: bytes | npt.NDArray[np.uint8]
    """The file's bytes, or a decoded `(H, W, 3) uint8 RGB` array."""
    label: int
    """0..C-1 within its source."""
    identity: str | None = None
    landmarks: npt.NDArray[np.float32] | None = None
    """(5, 2) pixels, x then y: left eye, right eye, nose, left and right mouth corner, as seen in the image."""
    meta: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class RecordSource(Protocol):
    """Random access to records. It states its own sizes: the number of classes and images is never a setting.

    Implementations are picklable and safe to read from forked worker processes.
    """

    @property
    def location(self) -> str:
        """Where it was opened from, as a person would type it: `tar:faces.tar`."""

    @property
    def identities(self) -> Sequence[str]:
        """(C,) names; the label is the position."""

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """(N,) labels in 0..C-1."""

    @property
    def keys(self) -> Sequence[str]:
        """(N,) unique keys."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Record: ...
