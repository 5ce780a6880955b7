"""What MagFace and Mag-CosFace share: a margin that grows with the embedding's norm, and g, which rewards long ones.

Letters: B batch, a norm (the paper's magnitude), l_a and u_a the range it is meant to stay in, l_m and u_m the margins
at its ends, lambda_g the weight of g (Meng et al., CVPR 2021, arXiv:2103.06627).

    m(a) = l_m + (u_m - l_m) / (u_a - l_a) (a - l_a)
    g(a) = a / u_a^2 + 1 / a                                convex, falls up to its minimum at u_a

Good images earn long embeddings: a long one is asked for more margin, which only an easy sample can afford; g pays for
it.

`clamp`, what happens to norms outside [l_a, u_a]; inside, both are the same:

- "reference": a is clamped into the range before m and before g, as the authors' code does. Outside, neither has a
  gradient, and softmax itself never moves a norm: a model whose norms start outside (an ArcFace model with norms
  about 1, say) is never pulled in.
- "pull_in": m as above, but g goes on. Above u_a it is the same formula, which rises there (slope 1 / u_a^2 - 1 / a^2).
  Below l_a it is its tangent at l_a, slope 1 / u_a^2 - 1 / l_a^2: 1 / a would be infinite at 0, and the force of a
  short embedding as large as 1 / a^2. g stays convex and smooth, with its only minimum at u_a, and no slope exceeds
  that at l_a.

Where the loss has its minimum within the range: dL/da at l_a is at most s k + lambda_g g'(l_a), k the slope of m, so

    lambda_g >= s k u_a^2 l_a^2 / (u_a^2 - l_a^2)

makes every sample want to be longer than l_a. It holds the head's scale s, which a margin does not know;
`check(scale=...)` tells. The reference code only warns, and its own default of 20 is below the 22.6 that its other
defaults need.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from marginface.margins.margin import Margin

Clamp = Literal["reference", "pull_in"]


@dataclass(frozen=True, kw_only=True)
class MagnitudeConfig:
    """Settings of both; each kind brings its own defaults for the margins and the weight."""

    kind: str
    low_norm: float = 10.0
    """l_a: norm at which the margin is `low_margin`; positive."""
    high_norm: float = 110.0
    """u_a: norm at which the margin is `high_margin`, and where g is smallest; above `low_norm`."""
    low_margin: float
    """l_m: margin of embeddings of `low_norm` and shorter."""
    high_margin: float
    """u_m: margin of embeddings of `high_norm` and longer; at least `low_margin`."""
    penalty_weight: float
    """lambda_g: what g is multiplied by; see `check` for the smallest that suits a scale. Not negative."""
    clamp: Clamp = "reference"
    """Either "reference", which leaves norms outside the range alone, or "pull_in" (see the top of `magnitude.py`)."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.high_norm) and 0.0 < self.low_norm < self.high_norm):
            raise ValueError(
                f"low_norm {self.low_norm} and high_norm {self.high_norm} must be positive and in this order; "
                "10 and 110 are usual."
            )
        if not 0.0 <= self.low_margin <= self.high_margin <= math.pi / 2:
            raise ValueError(
                f"low_margin {self.low_margin} and high_margin {self.high_margin} must be in this order and within "
                "[0, pi / 2]."
            )
        if not (math.isfinite(self.penalty_weight) and self.penalty_weight >= 0.0):
            raise ValueError(f"penalty_weight {self.penalty_weight} must be a number that is not negative.")

    def least_penalty_weight(self, *, scale: float) -> float:
        """Return the smallest lambda_g that keeps the minimum of the loss between the two norms, for a head's scale."""
        slope = (self.high_margin - self.low_margin) / (self.high_norm - self.low_norm)
        squares = self.high_norm**2, self.low_norm**2
        return scale * slope * squares[0] * squares[1] / (squares[0] - squares[1])

    def check(self, *, scale: float) -> None:
        """Refuse a weight of g that cannot hold against the margin at this scale of the head.

        Raises:
            ValueError: `penalty_weight` is below `least_penalty_weight`.
        """
        least = self.least_penalty_weight(scale=scale)
        if self.penalty_weight < least:
            raise ValueError(
                f"penalty_weight {self.penalty_weight} is below {least:.4g}, the least for scale {scale} and these "
                "norms and margins: the margin would push hard samples to low_norm. Raise it, or lower high_margin."
            )


def margin_of_norm(
    norm_B: Tensor, *, low_norm: float, high_norm: float, low_margin: float, high_margin: float
) -> Tensor:
    """Return m(a), (B,): straight from `low_margin` to `high_margin`, constant outside."""
    slope = (high_margin - low_margin) / (high_norm - low_norm)
    return low_margin + slope * (norm_B.clamp(low_norm, high_norm) - low_norm)


def norm_penalty(norm_B: Tensor, *, low_norm: float, high_norm: float, clamp: Clamp) -> Tensor:
    """Return g(a), (B,), not weighted; smallest at `high_norm`."""
    if clamp == "reference":
        norm_B = norm_B.clamp(low_norm, high_norm)
        return norm_B / high_norm**2 + 1.0 / norm_B
    within_B = norm_B.clamp_min(low_norm)
    slope_at_low = 1.0 / high_norm**2 - 1.0 / low_norm**2
    return within_B / high_norm**2 + 1.0 / within_B + slope_at_low * (norm_B - within_B)


class MagnitudeMargin(Margin):
    """The norm's part of MagFace and Mag-CosFace; they add what is done to the cosine."""

    def __init__(self, config: MagnitudeConfig) -> None:
        super().__init__()
        self.config = config

    def margin_of(self, norm_B: Tensor) -> Tensor:
        """Return the margin of each row, (B,)."""
        return margin_of_norm(
            norm_B,
            low_norm=self.config.low_norm,
            high_norm=self.config.high_norm,
            low_margin=self.config.low_margin,
            high_margin=self.config.high_margin,
        )

    def penalty(self, norm_B: Tensor) -> Tensor:
        """Return lambda_g g(a), (B,)."""
        config = self.config
        g_B = norm_penalty(norm_B, low_norm=config.low_norm, high_norm=config.high_norm, clamp=config.clamp)
        return config.penalty_weight * g_B

    def extra_repr(self) -> str:
        """Return the settings for printing."""
        return str(self.config)
