"""ArcFace: an additive angular margin (Deng et al., CVPR 2019, arXiv:1801.07698).

Letters: B batch.
f(theta) = cos(theta + m), equation 3 of the paper. The paper leaves two things open, and the codes under this name
differ in both:

`past_pi`, what happens where theta + m > pi (cosine below cos(pi - m)), and cos(theta + m) starts to rise again:

- "line": c - m sin(m). insightface 2022, TFace, MagFace, MultiFace. Keeps slope 1, so that the hardest samples are
  still pulled; at theta = pi - m the value jumps down from -1 to cos(pi - m) - m sin(m), which is -1.117 for m = 0.5.
- "flat": -1, that is theta + m clipped at pi (AdaFace's code). No jump, but no pull either: the slope is 0.
- "rising": cos(theta + m) as it comes; insightface since December 2022. No jump; with the exact gradient such a sample
  is pushed away from its own centre.

`gradient`:

- "exact": df/dc = sin(theta + m) / sin(theta), 1.35 at c = 0.7 for m = 0.5.
- "straight_through": df/dc = 1; the margin counts as a constant in backward. insightface since December 2022 (the chain
  runs while autograd is off). Needed to repeat its published numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from marginface.margins.margin import Margin

PastPi = Literal["line", "flat", "rising"]
Gradient = Literal["exact", "straight_through"]


@dataclass(frozen=True, kw_only=True)
class ArcFaceConfig:
    """Settings of ArcFace; insightface as it is today has `gradient="straight_through", past_pi="rising"`."""

    kind: Literal["arcface"] = "arcface"
    margin: float = 0.5
    """Added to the angle of the true class, radians, in [0, pi / 2]."""
    gradient: Gradient = "exact"
    """Either "exact", or "straight_through" for a slope of 1 (see the top of this file)."""
    past_pi: PastPi = "line"
    """What follows where theta + margin exceeds pi: "line", "flat" or "rising" (see the top of this file)."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.margin) and 0.0 <= self.margin <= math.pi / 2):
            raise ValueError(f"margin {self.margin} is outside [0, pi / 2]; it is an angle in radians, 0.5 is usual.")

    def build(self) -> ArcFace:
        """Return the margin."""
        return ArcFace(self.margin, gradient=self.gradient, past_pi=self.past_pi)


def arcface(target_cos_B: Tensor, margin: float | Tensor, *, past_pi: PastPi = "line") -> Tensor:
    """Return cos(theta + margin) for the true class, (B,); finite values and gradients over all of [-1, 1].

    The margin is one number, or a tensor (B,) with one for each row (MagFace, ElasticFace), through which gradients
    flow.
    """
    cos_margin: float | Tensor
    sin_margin: float | Tensor
    if isinstance(margin, Tensor):
        cos_margin, sin_margin = margin.cos(), margin.sin()
    else:
        cos_margin, sin_margin = math.cos(margin), math.sin(margin)
    sin_B = (1.0 - target_cos_B.square()).clamp_min(1e-7).sqrt()  # the clamp keeps the gradient finite at |cos| = 1
    shifted_B = target_cos_B * cos_margin - sin_B * sin_margin
    if past_pi == "rising":
        return shifted_B
    line_B = target_cos_B - margin * sin_margin
    beyond_B = line_B if past_pi == "line" else torch.full_like(target_cos_B, -1.0)
    return torch.where(target_cos_B <= -cos_margin, beyond_B, shifted_B)  # cos(pi - m) = -cos(m)


class ArcFace(Margin):
    """Additive angular margin, with a choice of gradient and of continuation past pi."""

    def __init__(self, margin: float, *, gradient: Gradient = "exact", past_pi: PastPi = "line") -> None:
        super().__init__()
        self.margin = margin
        self.gradient: Gradient = gradient
        self.past_pi: PastPi = past_pi

    def forward(self, target_cos_B: Tensor, norm_B: Tensor) -> Tensor:
        """Return the penalised cosine; norms play no part."""
        penalised_B = arcface(target_cos_B, self.margin, past_pi=self.past_pi)
        if self.gradient == "straight_through":
            return target_cos_B + (penalised_B - target_cos_B).detach()
        return penalised_B

    def extra_repr(self) -> str:
        """Return the settings for printing."""
        return f"margin={self.margin}, gradient={self.gradient!r}, past_pi={self.past_pi!r}"
