"""Aligned face images to embeddings, one family a file: `config.build(input_size=112)` returns the network.

Every backbone maps (B, 3, S, S) float to (B, D), not normalised, so that the length survives as a quality signal.
"""

from marginface.backbones.backbone import BackboneConfig
from marginface.backbones.edgeface import EdgeFace, EdgeFaceConfig
from marginface.backbones.ir import Ir, IrConfig
from marginface.backbones.ir_multiface import MultiFaceIrConfig
from marginface.backbones.iresnet import IResNet, IResNetConfig
from marginface.backbones.mobilefacenet import MobileFaceNet, MobileFaceNetConfig
from marginface.backbones.mobilefacenet_wide import WideMobileFaceNet, WideMobileFaceNetConfig
from marginface.backbones.vit import Vit, VitConfig

BACKBONES: dict[str, type[BackboneConfig]] = {
    "iresnet18": IResNetConfig,
    "iresnet34": IResNetConfig,
    "iresnet50": IResNetConfig,
    "iresnet100": IResNetConfig,
    "iresnet200": IResNetConfig,
    "iresnet2060": IResNetConfig,
    "ir18": IrConfig,
    "ir34": IrConfig,
    "ir50": IrConfig,
    "ir101": IrConfig,
    "ir152": IrConfig,
    "ir200": IrConfig,
    "ir_se50": IrConfig,
    "ir_se101": IrConfig,
    "ir_se152": IrConfig,
    "ir_se200": IrConfig,
    "multiface_ir50": MultiFaceIrConfig,
    "multiface_ir100": MultiFaceIrConfig,
    "multiface_ir_se50": MultiFaceIrConfig,
    "multiface_ir_se100": MultiFaceIrConfig,
    "mobilefacenet": MobileFaceNetConfig,
    "mobilefacenet_112x96": MobileFaceNetConfig,
    "mobilefacenet_045g": WideMobileFaceNetConfig,
    "mobilefacenet_large": WideMobileFaceNetConfig,
    "edgeface_xxs": EdgeFaceConfig,
    "edgeface_xs": EdgeFaceConfig,
    "edgeface_s": EdgeFaceConfig,
    "edgeface_base": EdgeFaceConfig,
    "vit_t": VitConfig,
    "vit_s": VitConfig,
    "vit_b": VitConfig,
    "vit_l": VitConfig,
    "vit_h": VitConfig,
    "mindface_vit_t": VitConfig,
    "mindface_vit_s": VitConfig,
    "mindface_vit_b": VitConfig,
    "mindface_vit_l": VitConfig,
    "cvlface_vit_s": VitConfig,
    "cvlface_vit_b": VitConfig,
}

__all__ = [
    "BACKBONES",
    "BackboneConfig",
    "EdgeFace",
    "EdgeFaceConfig",
    "IResNet",
    "IResNetConfig",
    "Ir",
    "IrConfig",
    "MobileFaceNet",
    "MobileFaceNetConfig",
    "MultiFaceIrConfig",
    "Vit",
    "VitConfig",
    "WideMobileFaceNet",
    "WideMobileFaceNetConfig",
]
