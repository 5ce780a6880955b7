"""Mag-CosFace: a cosine margin that grows with the norm (the authors' parallel code of MagFace, arXiv:2103.06627).

Letters: B batch.
f(c, a) = c - m(a), plus lambda_g g(a) a sample; m, g, the clamp and the bound on lambda_g are in
`magnitude.py`. Gradients flow through a into the embedding. Not in the paper's main text; defaults are those of the
authors' `run_dist_cos.sh`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from marginface.margins.magnitude import MagnitudeConfig, MagnitudeMargin


@dataclass(frozen=True, kw_only=True)
class MagCosFaceConfig(MagnitudeConfig):
    """Settings of Mag-CosFace; margins are cosines."""

    kind: Literal["magcosface"] = "magcosface"
    low_margin: float = 0.35
    """l_m: subtracted from the cosine of embeddings of `low_norm` and shorter."""
    high_margin: float = 0.8
    """u_m: subtracted from the cosine of embeddings of `high_norm` and longer."""
    penalty_weight: float = 150.0
    """lambda_g: what g is multiplied by; at least 29.1 for the other defaults at scale 64."""

    def build(self) -> MagCosFace:
        """Return the margin."""
        return MagCosFace(self)


class MagCosFace(MagnitudeMargin):
    """Additive cosine margin that grows with the norm, and g."""

    def forward(self, target_cos_B: Tensor, norm_B: Tensor) -> Tensor:
        """Return the penalised cosine; norms get a gradient."""
        return target_cos_B - self.margin_of(norm_B)
