"""IR and IR-SE as MultiFace and the TreB1eN lineage have them (Deng et al., arXiv:1801.07698).

Differs from `ir.py`: no BN between a block's first convolution and its PReLU, a last BN that is trained, dropout 0.6,
and torch's own initialisation. Layers and state-dict keys are those of the published weights. Differs from them: the
embedding is not normalised inside, and the shortcut is a strided slice where they call a max-pool of one pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from marginface.backbones.backbone import check_dropout, check_embedding_dim, last_map_side, seeded
from marginface.backbones.ir import (
    BASIC_CHANNELS,
    Ir,
    IrBlock,
    SqueezeExcitation,
    conv,
    widths_and_strides,
)

BLOCKS_PER_STAGE = {
    "multiface_ir50": (3, 4, 14, 3),
    "multiface_ir100": (3, 13, 30, 3),
    "multiface_ir_se50": (3, 4, 14, 3),
    "multiface_ir_se100": (3, 13, 30, 3),
}


@dataclass(frozen=True, kw_only=True)
class MultiFaceIrConfig:
    """MultiFace's IR or IR-SE of a chosen depth."""

    kind: Literal["multiface_ir50", "multiface_ir100", "multiface_ir_se50", "multiface_ir_se100"] = "multiface_ir50"
    embedding_dim: int = 512
    dropout: float = 0.6
    """Probability in [0, 1) of a value of the last map, before the embedding layer; MultiFace has 0.6."""

    def __post_init__(self) -> None:
        check_embedding_dim(self.embedding_dim)
        check_dropout(self.dropout)

    def build(self, *, input_size: int = 112, seed: int = 0) -> Ir:
        """Return the network for square images of `input_size` pixels, a multiple of 16."""
        side = last_map_side(self.kind, input_size)
        with seeded(seed):
            blocks = [
                IrBlock(
                    _residual(before, after, stride=stride, excite="_se" in self.kind), before, after, stride=stride
                )
                for before, after, stride in widths_and_strides(BASIC_CHANNELS, BLOCKS_PER_STAGE[self.kind])
            ]
            return Ir(
                blocks,
                input_size=input_size,
                last_map_shape=(BASIC_CHANNELS[-1], side, side),
                embedding_dim=self.embedding_dim,
                dropout=self.dropout,
                last_norm_is_trained=True,
            )


def _residual(channels_in: int, channels_out: int, *, stride: int, excite: bool) -> nn.Sequential:
    layers = [
        nn.BatchNorm2d(channels_in),
        conv(channels_in, channels_out, kernel=3),
        nn.PReLU(channels_out),
        conv(channels_out, channels_out, kernel=3, stride=stride),
        nn.BatchNorm2d(channels_out),
    ]
    return nn.Sequential(*layers, *([SqueezeExcitation(channels_out)] if excite else []))
