"""CosFace: an additive cosine margin (Wang et al., CVPR 2018, arXiv:1801.09414; also AM-Softmax, arXiv:1801.05599).

Letters: B batch.
f(c) = c - m, equation 4 of the paper. The paper trains with m = 0.35; 0.4 is what insightface, AdaFace and TFace use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from marginface.margins.margin import Margin


@dataclass(frozen=True, kw_only=True)
class CosFaceConfig:
    """Settings of CosFace."""

    kind: Literal["cosface"] = "cosface"
    margin: float = 0.4
    """Subtracted from the cosine of the true class; a cosine, in [0, 2)."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.margin) and 0.0 <= self.margin < 2.0):
            raise ValueError(f"margin {self.margin} is outside [0, 2); cosines differ by 2 at most.")

    def build(self) -> CosFace:
        """Return the margin."""
        return CosFace(self.margin)


def cosface(target_cos_B: Tensor, margin: float | Tensor) -> Tensor:
    """Return cos(theta) - margin (one number, or one a row); its slope is 1 everywhere."""
    return target_cos_B - margin


class CosFace(Margin):
    """Additive cosine margin."""

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, target_cos_B: Tensor, norm_B: Tensor) -> Tensor:
        """Return the penalised cosine; norms play no part."""
        return cosface(target_cos_B, self.margin)

    def extra_repr(self) -> str:
        """Return the settings for printing."""
        return f"margin={self.margin}"
