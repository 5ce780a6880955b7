"""NormFace: no margin at all (Wang et al., ACM MM 2017, arXiv:1704.06369).

Letters: B batch.
The scaled cosine itself is the logit; the baseline that every margin is measured against. Differs from the paper: the
scale is a constant of the head, not learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from marginface.margins.margin import Margin


@dataclass(frozen=True, kw_only=True)
class NormFaceConfig:
    """Settings of NormFace: none."""

    kind: Literal["normface"] = "normface"

    def build(self) -> NormFace:
        """Return the margin."""
        return NormFace()


class NormFace(Margin):
    """The cosine of the true class, as it is."""

    def forward(self, target_cos_B: Tensor, norm_B: Tensor) -> Tensor:
        """Return `target_cos_B`."""
        return target_cos_B
