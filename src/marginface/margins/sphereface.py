"""SphereFace: a multiplied angle (Liu et al., CVPR 2017, arXiv:1704.08063).

Letters: B batch.
f(theta) = psi(m theta) with psi(phi) = (-1)^k cos(phi) - 2k, k = floor(phi / pi), the paper's A-Softmax. cos(phi) would
rise again past phi = pi; psi goes on downwards, continuous, with slope 0 at each multiple of pi, and ends at
psi(m pi) = 1 - 2 m for whole m.

Differs from the paper: embeddings are normalised too and the head's scale stands where the paper has |x|; m may be any
number from 1 on, not only a whole one; and there is no annealing (the paper mixes f with the plain cosine, weight
lambda from 1000 down to 5, without which its m = 4 hardly trains). The default 1.35 is what the ArcFace paper
reports for this normalised form. Near |cos| = 1, where arccos is infinitely steep, the cosine is held 1e-7 away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from marginface.margins.margin import Margin


@dataclass(frozen=True, kw_only=True)
class SphereFaceConfig:
    """Settings of SphereFace in its normalised form."""

    kind: Literal["sphereface"] = "sphereface"
    angle_factor: float = 1.35
    """Multiplies the angle of the true class (m, or m1); at least 1, where it does nothing."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.angle_factor) and self.angle_factor >= 1.0):
            raise ValueError(f"angle_factor {self.angle_factor} is below 1; it multiplies the angle, 1.35 is usual.")

    def build(self) -> SphereFace:
        """Return the margin."""
        return SphereFace(self.angle_factor)


def falling_cosine(angle_B: Tensor) -> Tensor:
    """Return cos(angle) up to pi, and beyond it (-1)^k cos(angle) - 2k, which keeps falling; angles >= 0, radians."""
    turns_B = (angle_B.detach() / math.pi).floor()
    return (1.0 - 2.0 * turns_B.remainder(2.0)) * angle_B.cos() - 2.0 * turns_B


def angle_of(target_cos_B: Tensor) -> Tensor:
    """Return arccos in radians, with finite gradients: at |cos| > 1 - 1e-7 it is constant."""
    return target_cos_B.clamp(-1.0 + 1e-7, 1.0 - 1e-7).arccos()


def sphereface(target_cos_B: Tensor, angle_factor: float) -> Tensor:
    """Return psi(angle_factor theta) for the true class, non-decreasing in its input over all of [-1, 1]."""
    return falling_cosine(angle_factor * angle_of(target_cos_B))


class SphereFace(Margin):
    """Multiplicative angular margin."""

    def __init__(self, angle_factor: float) -> None:
        super().__init__()
        self.angle_factor = angle_factor

    def forward(self, target_cos_B: Tensor, norm_B: Tensor) -> Tensor:
        """Return the penalised cosine; norms play no part."""
        return sphereface(target_cos_B, self.angle_factor)

    def extra_repr(self) -> str:
        """Return the settings for printing."""
        return f"angle_factor={self.angle_factor}"
