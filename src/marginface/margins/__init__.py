"""Margins: cosine of the true class (and the norm) -> penalised cosine. Pure; one method a file.

A new margin is one file and one line in `MARGINS`; `docs/adding-a-margin.md` walks through it.
"""

from marginface.margins.adacos import AdaCos, AdaCosConfig, adacos
from marginface.margins.adaface import AdaFace, AdaFaceConfig, adaface
from marginface.margins.arcface import ArcFace, ArcFaceConfig, arcface
from marginface.margins.circle import Circle, CircleConfig, circle
from marginface.margins.combined import Combined, CombinedConfig, combined
from marginface.margins.cosface import CosFace, CosFaceConfig, cosface
from marginface.margins.curricularface import CurricularFace, CurricularFaceConfig, curricularface
from marginface.margins.elasticface import ElasticArcFaceConfig, ElasticCosFaceConfig, ElasticFace
from marginface.margins.magcosface import MagCosFace, MagCosFaceConfig
from marginface.margins.magface import MagFace, MagFaceConfig, magface
from marginface.margins.margin import Margin, MarginConfig
from marginface.margins.mv_softmax import MVSoftmax, MVSoftmaxConfig, mv_softmax
from marginface.margins.normface import NormFace, NormFaceConfig
from marginface.margins.softmax import Softmax, SoftmaxConfig
from marginface.margins.sphereface import SphereFace, SphereFaceConfig, sphereface

MARGINS: dict[str, type] = {
    "softmax": SoftmaxConfig,
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
    "curricularface": CurricularFaceConfig,
    "mv_softmax": MVSoftmaxConfig,
    "circle": CircleConfig,
    "adacos": AdaCosConfig,
}

__all__ = [
    "MARGINS",
    "AdaCos",
    "AdaCosConfig",
    "AdaFace",
    "AdaFaceConfig",
    "ArcFace",
    "ArcFaceConfig",
    "Circle",
    "CircleConfig",
    "Combined",
    "CombinedConfig",
    "CosFace",
    "CosFaceConfig",
    "CurricularFace",
    "CurricularFaceConfig",
    "ElasticArcFaceConfig",
    "ElasticCosFaceConfig",
    "ElasticFace",
    "MVSoftmax",
    "MVSoftmaxConfig",
    "MagCosFace",
    "MagCosFaceConfig",
    "MagFace",
    "MagFaceConfig",
    "Margin",
    "MarginConfig",
    "NormFace",
    "NormFaceConfig",
    "Softmax",
    "SoftmaxConfig",
    "SphereFace",
    "SphereFaceConfig",
    "adacos",
    "adaface",
    "arcface",
    "circle",
    "combined",
    "cosface",
    "curricularface",
    "magface",
    "mv_softmax",
    "sphereface",
]
