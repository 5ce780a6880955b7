"""MagFace: an angular margin that grows with the norm (Meng et al., CVPR 2021, arXiv:2103.06627).

Letters: B batch.
f(theta, a) = cos(theta + m(a)), plus lambda_g g(a) a sample; m, g, the clamp and the bound on lambda_g are in
`magnitude.py`. Gradients flow through a into the embedding.

`easy`, what the paper leaves open past theta + m > pi:

- True (the reference code's default, without a switch): rows with cos <= 0 get no margin. The value drops from 0 to
  -sin m where the cosine turns positive.
- False: ArcFace's line, c - m sin(m), where theta + m(a) > pi.

Differs from the reference code: gradients are finite at |cos| = 1, where it gives NaN; lambda_g is 35, that of its
scripts, as its command line's 20 is below its own bound; on several ranks the gradient is that of one process, norms
included (its parallel version scales it by 1 / ranks and loses most of the norm's).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from marginface.margins.arcface import arcface
from marginface.margins.magnitude import MagnitudeConfig, MagnitudeMargin


@dataclass(frozen=True, kw_only=True)
class MagFaceConfig(MagnitudeConfig):
    """Settings of MagFace; margins are angles in radians."""

    kind: Literal["magface"] = "magface"
    low_margin: float = 0.45
    """l_m: added to the angle of embeddings of `low_norm` and shorter, radians."""
    high_margin: float = 0.8
    """u_m: added to the angle of embeddings of `high_norm` and longer, radians."""
    penalty_weight: float = 35.0
    """lambda_g: what g is multiplied by; at least 22.6 for the other defaults at scale 64."""
    easy: bool = True
    """Whether rows with a negative cosine go without margin (see the top of this file)."""

    def build(self) -> MagFace:
        """Return the margin."""
        return MagFace(self, easy=self.easy)


def magface(target_cos_B: Tensor, margin_B: Tensor, *, easy: bool) -> Tensor:
    """Return cos(theta + m) with a margin of its own for each row, (B,)."""
    if not easy:
        return arcface(target_cos_B, margin_B)
    return torch.where(target_cos_B > 0.0, arcface(target_cos_B, margin_B, past_pi="rising"), target_cos_B)


class MagFace(MagnitudeMargin):
    """Additive angular margin that grows with the norm, and g."""

    def __init__(self, config: MagnitudeConfig, *, easy: bool = True) -> None:
        super().__init__(config)
        self.easy = easy

    def forward(self, target_cos_B: Tensor, norm_B: Tensor) -> Tensor:
        """Return the penalised cosine; norms get a gradient."""
        return magface(target_cos_B, self.margin_of(norm_B), easy=self.easy)
