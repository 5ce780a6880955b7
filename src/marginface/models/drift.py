"""How far a second way of computing embeddings is from the first."""

from __future__ import annotations

import torch
from torch import Tensor

MAX_DRIFT = 1e-5
"""1 - cosine that rounding may cause in float32. Seen: below 1e-8 for every backbone here, folded or exported."""


class DriftError(ArithmeticError):
    """A network rewritten for speed gives other embeddings than the one it came from."""


def cosine_drift(expected: Tensor, found: Tensor) -> Tensor:
    """Return 1 - cosine (B,) float64 of embeddings (B, D); 0 where both are all zeros, NaN where one is not finite."""
    expected, found = expected.double(), found.double()
    product = expected.norm(dim=1) * found.norm(dim=1)
    drift = 1.0 - (expected * found).sum(1) / product
    return torch.where((product == 0) & (expected == found).all(1), torch.zeros_like(drift), drift)


def check_drift(expected: Tensor, found: Tensor, *, max_drift: float = MAX_DRIFT) -> None:
    """Raise DriftError unless every embedding is as near as `max_drift`."""
    if expected.shape != found.shape:
        raise DriftError(f"embeddings are {tuple(found.shape)} and not {tuple(expected.shape)}")
    drift = cosine_drift(expected, found)
    if not bool((drift <= max_drift).all()):  # NaN is not near either
        raise DriftError(f"1 - cosine is {drift.max().item():.3g}, above {max_drift:g}")
