"""Margins: cosine of the true class (and the norm) -> penalised cosine. Pure; one method a file.

A new margin is one file and one line in `MARGINS`; `docs/adding-a-margin.md` walks through it.
"""

from marginface.margins.adaface import AdaFace, AdaFaceConfig, adaface
from marginface.margins.arcface import ArcFace, ArcFaceConfig, arcface
from marginface.margins.combined import Combined, CombinedConfig, combined
from marginface.margins.cosface import CosFace, CosFaceConfig, cosface
from marginface.margins.elasticface import ElasticArcFaceConfig, ElasticCosFaceConfig, ElasticFace
from marginface.margins.magcosface import MagCosFace, MagCosFaceConfig
from marginface.margins.magface import MagFace, MagFaceConfig, magface
from marginface.margins.margin import Margin, MarginConfig
from marginface.margins.normface import NormFace, NormFaceConfig
from marginface.margins.sphereface import SphereFace, SphereFaceConfig, sphereface

MARGINS: dict[str, type] = {
    "normface": NormFaceConfig,
    "cosface": CosFaceConfig,
    "arcface": ArcFaceConfig,
    "sphereface": SphereFaceConfig,
    "combined": CombinedConfig,
    "magface": MagFaceConfig,
    "magcosface": MagCosFaceConfig,
    "adaface": AdaFaceConfig,
    "elasticface_arc": ElasticArcFaceConfig,
    "elasticface_cos": ElasticCosFaceConfig,
}

__all__ = [
    "MARGINS",
    "AdaFace",
    "AdaFaceConfig",
    "ArcFace",
    "ArcFaceConfig",
    "Combined",
    "CombinedConfig",
    "CosFace",
    "CosFaceConfig",
    "ElasticArcFaceConfig",
    "ElasticCosFaceConfig",
    "ElasticFace",
    "MagCosFace",
    "MagCosFaceConfig",
    "MagFace",
    "MagFaceConfig",
    "Margin",
    "MarginConfig",
    "NormFace",
    "NormFaceConfig",
    "SphereFace",
    "SphereFaceConfig",
    "adaface",
    "arcface",
    "combined",
    "cosface",
    "magface",
    "sphereface",
]
