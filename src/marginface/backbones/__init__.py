"""Aligned face images to embeddings, one family a file: `config.build(input_size=112)` returns the network.

Every backbone maps (B, 3, S, S) float to (B, D), not normalised, so that the length survives as a quality signal.
"""

from marginface.backbones.backbone import BackboneConfig
from marginface.backbones.iresnet import IResNet, IResNetConfig
from marginface.backbones.mobilefacenet import MobileFaceNet, MobileFaceNetConfig
from marginface.backbones.mobilefacenet_wide import WideMobileFaceNet, WideMobileFaceNetConfig

BACKBONES: dict[str, type[BackboneConfig]] = {
    "iresnet18": IResNetConfig,
    "iresnet34": IResNetConfig,
    "iresnet50": IResNetConfig,
    "iresnet100": IResNetConfig,
    "iresnet200": IResNetConfig,
    "mobilefacenet": MobileFaceNetConfig,
    "mobilefacenet_112x96": MobileFaceNetConfig,
    "mobilefacenet_045g": WideMobileFaceNetConfig,
    "mobilefacenet_large": WideMobileFaceNetConfig,
}

__all__ = [
    "BACKBONES",
    "BackboneConfig",
    "IResNet",
    "IResNetConfig",
    "MobileFaceNet",
    "MobileFaceNetConfig",
    "WideMobileFaceNet",
    "WideMobileFaceNetConfig",
]
