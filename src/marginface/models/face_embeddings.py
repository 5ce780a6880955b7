"""What a model makes of faces: vectors together with what they may be compared with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt


class HasCrops(Protocol):
    """Faces that were found and aligned, such as `detect_and_align` returns."""

    @property
    def crops(self) -> npt.NDArray[np.uint8]:
        """(N, S, S, 3) uint8 RGB."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FaceEmbeddings:
    """N embeddings, in the order of the faces."""

    vectors: npt.NDArray[np.float32]
    """(N, D) as the model gave them, not normalised."""
    fingerprint: str
    """Of the model: vectors of two models cannot be compared."""
    flip: str
    """The flip policy of `FaceModel.embed`; scores of two policies differ."""

    def __len__(self) -> int:
        return len(self.vectors)

    @cached_property
    def norms(self) -> npt.NDArray[np.float32]:
        """(N,) lengths."""
        return np.asarray(np.linalg.norm(self.vectors, axis=1), dtype=np.float32)

    @cached_property
    def unit(self) -> npt.NDArray[np.float32]:
        """(N, D) vectors of length 1, so that a score is a dot product; a vector of length 0 stays 0."""
        lengths = np.maximum(self.norms, np.finfo(np.float32).tiny)[:, None]
        return np.asarray(self.vectors / lengths, dtype=np.float32)
