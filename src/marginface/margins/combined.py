"""Combined margin: SphereFace, ArcFace and CosFace at once (Deng et al., CVPR 2019, arXiv:1801.07698).

Letters: B batch.
f(theta) = cos(m1 theta + m2) - m3, equation 4 of the ArcFace paper, which reports (1, 0.3, 0.2) and (0.9, 0.4, 0.15).

Past m1 theta + m2 = pi, which the paper leaves open, the cosine is continued downwards as in SphereFace: psi(phi) =
(-1)^k cos(phi) - 2k with k = floor(phi / pi). So f is continuous and never rises with the angle, for all three numbers;
(m1, 0, 0) is exactly SphereFace, (1, 0, m3) CosFace, and (1, m2, 0) ArcFace up to theta = pi - m2 (beyond it ArcFace
jumps to a line of slope 1; psi has no jump, and slope 0 at pi itself).

Differs from insightface: its PyTorch `CombinedMarginLoss` ignores m1 and m2 where m3 > 0 and stops where m1 != 1,
though its README promises all three. An m1 below 1 gives margin away and only makes sense beside m2 or m3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from marginface.margins.margin import Margin
from marginface.margins.sphereface import angle_of, falling_cosine


@dataclass(frozen=True, kw_only=True)
class CombinedConfig:
    """Settings of the combined margin; m1, m2 and m3 of the paper, in this order."""

    kind: Literal["combined"] = "combined"
    angle_factor: float = 1.0
    """Multiplies the angle of the true class (m1); positive."""
    angle_margin: float = 0.3
    """Added to the multiplied angle (m2), radians, in [0, pi / 2]."""
    cosine_margin: float = 0.2
    """Subtracted from the cosine of both (m3); a cosine, in [0, 2)."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.angle_factor) and self.angle_factor > 0.0):
            raise ValueError(
                f"angle_factor {self.angle_factor} must be a positive number; 1 leaves the angle as it is."
            )
        if not (math.isfinite(self.angle_margin) and 0.0 <= self.angle_margin <= math.pi / 2):
            raise ValueError(f"angle_margin {self.angle_margin} is outside [0, pi / 2]; it is an angle in radians.")
        if not (math.isfinite(self.cosine_margin) and 0.0 <= self.cosine_margin < 2.0):
            raise ValueError(f"cosine_margin {self.cosine_margin} is outside [0, 2); cosines differ by 2 at most.")

    def build(self) -> Combined:
        """Return the margin."""
        return Combined(self.angle_factor, self.angle_margin, self.cosine_margin)


def combined(target_cos_B: Tensor, *, angle_factor: float, angle_margin: float, cosine_margin: float) -> Tensor:
    """Return psi(angle_factor theta + angle_margin) - cosine_margin, never falling as its input rises."""
    return falling_cosine(angle_factor * angle_of(target_cos_B) + angle_margin) - cosine_margin


class Combined(Margin):
    """Multiplicative angular, additive angular and additive cosine margin together."""

    def __init__(self, angle_factor: float, angle_margin: float, cosine_margin: float) -> None:
        super().__init__()
        self.angle_factor = angle_factor
        self.angle_margin = angle_margin
        self.cosine_margin = cosine_margin

    def forward(self, target_cos_B: Tensor, norm_B: Tensor) -> Tensor:
        """Return the penalised cosine; norms play no part."""
        return combined(
            target_cos_B,
            angle_factor=self.angle_factor,
            angle_margin=self.angle_margin,
            cosine_margin=self.cosine_margin,
        )

    def extra_repr(self) -> str:
        """Return the settings for printing."""
        return f"angle_factor={self.angle_factor}, angle_margin={self.angle_margin}, cosine_margin={self.cosine_margin}"
