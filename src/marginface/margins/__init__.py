"""Margins: cosine of the true class (and the norm) -> penalised cosine. Pure; one method a file.

A new margin is one file and one line in `MARGINS`; `docs/adding-a-margin.md` walks through it.
"""

from marginface.margins.arcface import ArcFace, ArcFaceConfig, arcface
from marginface.margins.cosface import CosFace, CosFaceConfig, cosface
from marginface.margins.margin import Margin, MarginConfig
from marginface.margins.normface import NormFace, NormFaceConfig

MARGINS: dict[str, type] = {
    "normface": NormFaceConfig,
    "cosface": CosFaceConfig,
    "arcface": ArcFaceConfig,
}

__all__ = [
    "MARGINS",
    "ArcFace",
    "ArcFaceConfig",
    "CosFace",
    "CosFaceConfig",
    "Margin",
    "MarginConfig",
    "NormFace",
    "NormFaceConfig",
    "arcface",
    "cosface",
]
