"""CurricularFace: easy negatives first, hard ones later (Huang et al., CVPR 2020, arXiv:2004.00288).

Letters: B batch, K some of the other classes, c_j cosine to one of them, r mean cosine to the true class of a batch.

    f(theta) = cos(theta + m)                                       ArcFace, past pi with its line
    N(c_j) = c_j                    where c_j <= f(theta)
             c_j (t + c_j)          where c_j >  f(theta)           a hard one
    t <- a r + (1 - a) t            from 0, over the batches

A class that beats the penalised true class is hard. Early, t is near 0 and c_j (t + c_j) is less than c_j: hard ones
count little. Late, when embeddings are near their centres, t + c_j passes 1 and they count more than others.

In training a batch first moves t, then uses it, as in the code; in eval mode t stays as it is. t gets no gradient.

The paper's formula has a wrinkle: where a hard c_j is below -t / 2 its slope t + 2 c_j is negative, and that centre is
pulled nearer. Only samples more than pi / 2 - m from their own centre have such hard ones, but at the very start of a
training that is nearly all of them.

Differs from the paper: it prints a = 0.99 for what its code has as 0.01, the value here.

Differs from the authors' code: a class is hard beside f with its line, beside cos(theta + m) as it comes there (the two
differ only past pi); r is that of the global batch, the same on all ranks (theirs keeps one t a rank, TFace's PartialFC
shares it); and t is written in place, so that it is saved and resumed with the head. TFace has a = 0.1. Each part of an
accumulated batch counts as a batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from marginface.distributed import sum_over_ranks
from marginface.margins.arcface import arcface
from marginface.margins.margin import Margin


@dataclass(frozen=True, kw_only=True)
class CurricularFaceConfig:
    """Settings of CurricularFace; defaults are those of the authors' code."""

    kind: Literal["curricularface"] = "curricularface"
    margin: float = 0.5
    """m: added to the angle of the true class, radians, in [0, pi / 2]."""
    ema_weight: float = 0.01
    """a: share of a batch in the running mean cosine t, in (0, 1]."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.margin) and 0.0 <= self.margin <= math.pi / 2):
            raise ValueError(f"margin {self.margin} is outside [0, pi / 2]; it is an angle in radians, 0.5 is usual.")
        if not 0.0 < self.ema_weight <= 1.0:
            raise ValueError(f"ema_weight {self.ema_weight} is outside (0, 1]; 0.01 is usual.")

    def build(self) -> CurricularFace:
        """Return the margin, its t at 0."""
        return CurricularFace(self.margin, ema_weight=self.ema_weight)


def curricularface(cos_KB: Tensor, penalised_B: Tensor, t: Tensor | float) -> Tensor:
    """Return c (t + c) for cosines above the penalised one of their row, and c for the others, (K, B)."""
    return torch.where(cos_KB > penalised_B, cos_KB * (t + cos_KB), cos_KB)


class CurricularFace(Margin):
    """ArcFace whose hard negatives weigh little at first and much later.

    Attributes:
        t: (), running mean of the cosine to the true class; named as in the authors' checkpoints.
    """

    t: Tensor

    def __init__(self, margin: float, *, ema_weight: float = 0.01) -> None:
        super().__init__()
        self.margin = margin
        self.ema_weight = ema_weight
        self.register_buffer("t", torch.tensor(0.0))

    def forward(self, target_cos_B: Tensor, norm_B: Tensor) -> Tensor:
        """Return the penalised cosine; in training all ranks must call it together, as they do a head."""
        if self.training:
            self._follow(target_cos_B.detach())
        return arcface(target_cos_B, self.margin)

    def reweigh(self, cos_KB: Tensor, penalised_B: Tensor) -> Tensor:
        """Return the cosines to other classes, the hard ones modulated, (K, B)."""
        return curricularface(cos_KB, penalised_B.to(cos_KB.dtype), self.t.to(cos_KB.dtype))

    def extra_repr(self) -> str:
        """Return the settings for printing."""
        return f"margin={self.margin}, ema_weight={self.ema_weight}"

    @torch.no_grad()
    def _follow(self, target_cos_B: Tensor) -> None:
        """Move t towards the mean over the global batch."""
        count, total = sum_over_ranks(torch.stack([torch.ones_like(target_cos_B).sum(), target_cos_B.sum()]))
        self.t.copy_(self.ema_weight * total / count + (1.0 - self.ema_weight) * self.t)
