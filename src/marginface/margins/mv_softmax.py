"""MV-Softmax: classes that beat the true one count more (Wang et al., AAAI 2020, arXiv:1912.00833).

Letters: B batch, K some of the other classes, c_j cosine to one of them, w = 1 + t with the paper's t.

    f(theta) = cos(theta) - m  ("am"),  or  cos(theta + m)  ("arc", past pi with ArcFace's line)
    N(c_j) = c_j                                        where c_j <= f(theta)
             w c_j + w - 1  ("adaptive")                where c_j >  f(theta): x is mis-classified there
             c_j + w - 1    ("fixed")

In the paper's words, such a class's exp(s c_j) is multiplied by h = exp(s t (c_j + 1)), or by exp(s t). At a scale of
32 and w = 1.12 a negative at cosine 0 counts exp(3.84) = 47 times as much as before.

Two weights are in use: the authors' code has t = 0.2, so w = 1.2; FaceX-Zoo has w = 1.12, the default here. Both have
scale 32. The fixed form is a line in a comment of the authors' code; the paper reports both.

Differs from both codes: they leave a true class of cosine below 0 (in "am" FaceX-Zoo: below m) without its margin,
which makes f jump down there as the cosine rises; here the margin holds everywhere, as the paper writes it.
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

Target = Literal["am", "arc"]
Emphasis = Literal["adaptive", "fixed"]


@dataclass(frozen=True, kw_only=True)
class MVSoftmaxConfig:
    """Settings of MV-Softmax; defaults are those of FaceX-Zoo."""

    kind: Literal["mv_softmax"] = "mv_softmax"
    target: Target = "am"
    """What is done to the true class: "am", the margin is subtracted from its cosine; or "arc", added to its angle."""
    margin: float = 0.35
    """m: a cosine in [0, 2) for "am", an angle in radians in [0, pi / 2] for "arc"."""
    weight: float = 1.12
    """w, 1 plus the paper's t: how much more mis-classifying classes count; above 1, where they count as others do."""
    emphasis: Emphasis = "adaptive"
    """Either "adaptive", more for higher cosines, or "fixed", the same for all (see the top of this file)."""

    def __post_init__(self) -> None:
        if self.target == "am" and not 0.0 <= self.margin < 2.0:
            raise ValueError(f"margin {self.margin} is outside [0, 2); for target am it is a cosine, 0.35 is usual.")
        if self.target == "arc" and not 0.0 <= self.margin <= math.pi / 2:
            raise ValueError(
                f"margin {self.margin} is outside [0, pi / 2]; for target arc it is an angle in radians, 0.35 is usual."
            )
        if not (math.isfinite(self.weight) and self.weight > 1.0):
            plain = "cosface" if self.target == "am" else "arcface"
            raise ValueError(
                f"weight {self.weight} must be above 1, 1.12 is usual; for no weight at all take kind: {plain}."
            )

    def build(self) -> MVSoftmax:
        """Return the margin."""
        return MVSoftmax(self.margin, target=self.target, weight=self.weight, emphasis=self.emphasis)


def mv_softmax(cos_KB: Tensor, penalised_B: Tensor, *, weight: float, emphasis: Emphasis = "adaptive") -> Tensor:
    """Return higher values for cosines above the penalised one of their row, and the others as they are, (K, B)."""
    factor = weight if emphasis == "adaptive" else 1.0
    return torch.where(cos_KB > penalised_B, factor * cos_KB + (weight - 1.0), cos_KB)


class MVSoftmax(Margin):
    """Additive margin, with emphasis on the classes that an embedding is mistaken for."""

    def __init__(self, margin: float, *, target: Target, weight: float, emphasis: Emphasis = "adaptive") -> None:
        super().__init__()
        self.margin = margin
        self.target: Target = target
        self.weight = weight
        self.emphasis: Emphasis = emphasis

    def forward(self, target_cos_B: Tensor, norm_B: Tensor) -> Tensor:
        """Return the penalised cosine; norms play no part."""
        return arcface(target_cos_B, self.margin) if self.target == "arc" else cosface(target_cos_B, self.margin)

    def reweigh(self, cos_KB: Tensor, penalised_B: Tensor) -> Tensor:
        """Return the cosines to other classes, those that beat the penalised true class emphasised, (K, B)."""
        return mv_softmax(cos_KB, penalised_B.to(cos_KB.dtype), weight=self.weight, emphasis=self.emphasis)

    def extra_repr(self) -> str:
        """Return the settings for printing."""
        return f"margin={self.margin}, target={self.target!r}, weight={self.weight}, emphasis={self.emphasis!r}"
