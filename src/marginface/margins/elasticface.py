"""ElasticFace: a margin drawn anew for each sample (Boutros et al., CVPR workshops 2022, arXiv:2109.09416).

Letters: B batch.

    m_i ~ normal(m, sigma)
    arc: f(theta) = cos(theta + m_i)          past pi with ArcFace's line
    cos: f(theta) = cos(theta) - m_i

`plus` (ElasticFace+): the same draws, handed out by difficulty within the batch of this rank: the sample farthest from
its centre gets the largest margin, the nearest the smallest.

Differs from the authors' code: under `plus` it indexes the sorted margins with the permutation that sorts the cosines,
not with its inverse, the ranks; hard samples then get no larger margins than others. Its arc form is left to rise past
pi.

The draws come from torch's own generator of the device, in training only; in eval mode the margin is m. `marginface
train` seeds that generator anew at each step, from (seed, step, rank), so a resumed run draws what an unbroken one
would have; in your own loop, call `torch.manual_seed` where you need that. Other numbers of ranks draw other margins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from marginface.margins.arcface import arcface
from marginface.margins.cosface import cosface
from marginface.margins.margin import Margin


@dataclass(frozen=True, kw_only=True)
class ElasticArcFaceConfig:
    """Settings of ElasticFace-Arc; defaults are those of the authors' code."""

    kind: Literal["elasticface_arc"] = "elasticface_arc"
    margin: float = 0.5
    """Mean of what is added to the angle of the true class, radians, in (0, pi / 2]."""
    sigma: float = 0.0125
    """Standard deviation of it, radians; above 0 and at most a quarter of `margin`."""
    plus: bool = False
    """Whether harder samples of the batch get the larger ones of the drawn margins."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.margin) and 0.0 < self.margin <= math.pi / 2):
            raise ValueError(f"margin {self.margin} is outside (0, pi / 2]; it is an angle in radians, 0.5 is usual.")
        _check_sigma(self.sigma, self.margin, fixed="arcface")

    def build(self) -> ElasticFace:
        """Return the margin."""
        return ElasticFace(self.margin, self.sigma, angular=True, plus=self.plus)


@dataclass(frozen=True, kw_only=True)
class ElasticCosFaceConfig:
    """Settings of ElasticFace-Cos; defaults are those of the authors' code."""

    kind: Literal["elasticface_cos"] = "elasticface_cos"
    margin: float = 0.35
    """Mean of what is subtracted from the cosine of the true class; a cosine, in (0, 2)."""
    sigma: float = 0.0125
    """Standard deviation of it, a cosine; above 0 and at most a quarter of `margin`."""
    plus: bool = False
    """Whether harder samples of the batch get the larger ones of the drawn margins."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.margin) and 0.0 < self.margin < 2.0):
            raise ValueError(f"margin {self.margin} is outside (0, 2); cosines differ by 2 at most.")
        _check_sigma(self.sigma, self.margin, fixed="cosface")

    def build(self) -> ElasticFace:
        """Return the margin."""
        return ElasticFace(self.margin, self.sigma, angular=False, plus=self.plus)


def _check_sigma(sigma: float, margin: float, *, fixed: str) -> None:
    if not 0.0 < sigma <= margin / 4.0:
        raise ValueError(
            f"sigma {sigma} is outside (0, {margin / 4.0:g}], a quarter of the margin, so that hardly any drawn margin "
            f"is negative; for a fixed margin take kind: {fixed}."
        )


def by_difficulty(drawn_B: Tensor, target_cos_B: Tensor) -> Tensor:
    """Return the drawn margins, handed out so that a lower cosine never has a smaller margin than a higher one."""
    hardest_first_B = target_cos_B.detach().argsort(stable=True)
    handed_out_B = torch.empty_like(drawn_B)
    handed_out_B[hardest_first_B] = drawn_B.sort(descending=True).values
    return handed_out_B


class ElasticFace(Margin):
    """Additive margin, angular or in the cosine, drawn anew for each sample."""

    def __init__(self, margin: float, sigma: float, *, angular: bool, plus: bool = False) -> None:
        super().__init__()
        self.margin = margin
        self.sigma = sigma
        self.angular = angular
        self.plus = plus

    def forward(self, target_cos_B: Tensor, norm_B: Tensor) -> Tensor:
        """Return the penalised cosine; norms play no part."""
        margin_B = self._margins(target_cos_B)
        return arcface(target_cos_B, margin_B) if self.angular else cosface(target_cos_B, margin_B)

    def extra_repr(self) -> str:
        """Return the settings for printing."""
        return f"margin={self.margin}, sigma={self.sigma}, angular={self.angular}, plus={self.plus}"

    def _margins(self, target_cos_B: Tensor) -> Tensor:
        if not self.training:
            return torch.full_like(target_cos_B, self.margin)
        # Drawn in float32, so that the dtype of the cosines does not change what is drawn.
        drawn_B = torch.randn(target_cos_B.shape, device=target_cos_B.device, dtype=torch.float32)
        margin_B = self.margin + self.sigma * drawn_B.to(target_cos_B.dtype)
        return by_difficulty(margin_B, target_cos_B) if self.plus else margin_B
