"""IR and IR-SE: the residual networks of AdaFace, TFace and CVLface (after Deng et al., arXiv:1801.07698).

The blocks of `iresnet.py` with another shortcut: where the width stays, pixels are picked by the stride and nothing is
learnt, so the first stage has no shortcut convolution and the weights of the two families do not fit each other. Depths
152 and 200 are made of bottlenecks and end with 2048 channels. SE weighs the channels of each block's residual.
Layers and state-dict keys are those of the published weights. Differs from them: the shortcut is a strided slice where
they call a max-pool of one pixel (the same numbers, without a pass over memory), and AdaFace's network also normalises;
here the embedding keeps its length.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from marginface.backbones.backbone import (
    check_dropout,
    check_embedding_dim,
    check_images,
    embed_in_full_precision,
    last_map_side,
    seeded,
)

BLOCKS_PER_STAGE = {
    "18": (2, 2, 2, 2),
    "34": (3, 4, 6, 3),
    "50": (3, 4, 14, 3),
    "101": (3, 13, 30, 3),
    "152": (3, 8, 36, 3),
    "200": (3, 24, 36, 3),
}
BASIC_CHANNELS = (64, 128, 256, 512)
BOTTLENECK_CHANNELS = (256, 512, 1024, 2048)
BOTTLENECK_DEPTHS = ("152", "200")
SQUEEZE = 16
"""Channels for one in the middle of squeeze-and-excitation."""


@dataclass(frozen=True, kw_only=True)
class IrConfig:
    """IR or IR-SE of a chosen depth."""

    kind: Literal[
        "ir18",
        "ir34",
        "ir50",
        "ir101",
        "ir152",
        "ir200",
        "ir_se50",
        "ir_se101",
        "ir_se152",
        "ir_se200",
    ] = "ir50"
    embedding_dim: int = 512
    dropout: float = 0.4
    """Probability in [0, 1) of a value of the last map, before the embedding layer; AdaFace and TFace have 0.4."""

    def __post_init__(self) -> None:
        check_embedding_dim(self.embedding_dim)
        check_dropout(self.dropout)

    def build(self, *, input_size: int = 112, seed: int = 0) -> Ir:
        """Return the network for square images of `input_size` pixels, a multiple of 16."""
        side = last_map_side(self.kind, input_size)
        with seeded(seed):
            depth = self.kind.removeprefix("ir").removeprefix("_se")
            make_residual = bottleneck_residual if depth in BOTTLENECK_DEPTHS else basic_residual
            channels = BOTTLENECK_CHANNELS if depth in BOTTLENECK_DEPTHS else BASIC_CHANNELS
            blocks = []
            for before, after, stride in widths_and_strides(channels, BLOCKS_PER_STAGE[depth]):
                residual = make_residual(before, after, stride=stride)
                if self.kind.startswith("ir_se"):
                    residual.add_module("se_block", SqueezeExcitation(after))
                blocks.append(IrBlock(residual, before, after, stride=stride))
            network = Ir(
                blocks,
                input_size=input_size,
                last_map_shape=(channels[-1], side, side),
                embedding_dim=self.embedding_dim,
                dropout=self.dropout,
                last_norm_is_trained=False,
            )
            _initialise(network)
            return network


class Ir(nn.Module):
    """Images (B, 3, S, S) in the contract's range to embeddings (B, D), not normalised."""

    def __init__(
        self,
        blocks: list[IrBlock],
        *,
        input_size: int,
        last_map_shape: tuple[int, int, int],
        embedding_dim: int,
        dropout: float,
        last_norm_is_trained: bool,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.input_layer = nn.Sequential(conv(3, 64, kernel=3), nn.BatchNorm2d(64), nn.PReLU(64))
        self.body = nn.Sequential(*blocks)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(last_map_shape[0]),
            nn.Dropout(dropout),
            nn.Flatten(),
            nn.Linear(math.prod(last_map_shape), embedding_dim),
            nn.BatchNorm1d(embedding_dim, affine=last_norm_is_trained),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings (B, D)."""
        check_images(images, self.input_size)
        norm, dropout, flatten, linear, last_norm = self.output_layer
        x = flatten(dropout(norm(self.body(self.input_layer(images)))))
        return last_norm(embed_in_full_precision(linear, x))  # type: ignore[no-any-return]


class IrBlock(nn.Module):
    """A residual branch plus the shortcut: picked pixels, or a 1x1 convolution and BN where the width changes."""

    def __init__(self, residual: nn.Sequential, channels_in: int, channels_out: int, *, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.shortcut_layer: nn.Sequential | None = None
        if channels_in != channels_out:
            shortcut = conv(channels_in, channels_out, kernel=1, stride=stride)
            self.shortcut_layer = nn.Sequential(shortcut, nn.BatchNorm2d(channels_out))
        self.res_layer = residual

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels_out, side / stride, side / stride)."""
        if self.shortcut_layer is not None:
            shortcut = self.shortcut_layer(x)
        else:
            shortcut = x if self.stride == 1 else x[:, :, :: self.stride, :: self.stride]
        result: Tensor = self.res_layer(x) + shortcut
        return result


class SqueezeExcitation(nn.Module):
    """Each channel times a weight in (0, 1) that is computed from the means of all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = conv(channels, channels // SQUEEZE, kernel=1)
        self.fc2 = conv(channels // SQUEEZE, channels, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        result: Tensor = x * self.fc2(self.fc1(x.mean((2, 3), keepdim=True)).relu()).sigmoid()
        return result


def basic_residual(channels_in: int, channels_out: int, *, stride: int) -> nn.Sequential:
    """Return BN, conv, BN, PReLU, conv (strided), BN."""
    return nn.Sequential(
        nn.BatchNorm2d(channels_in),
        conv(channels_in, channels_out, kernel=3),
        nn.BatchNorm2d(channels_out),
        nn.PReLU(channels_out),
        conv(channels_out, channels_out, kernel=3, stride=stride),
        nn.BatchNorm2d(channels_out),
    )


def bottleneck_residual(channels_in: int, channels_out: int, *, stride: int) -> nn.Sequential:
    """Return BN, then 1x1, 3x3 and 1x1 (strided) convolutions, a quarter as wide inside, each with its BN."""
    inside = channels_out // 4
    return nn.Sequential(
        nn.BatchNorm2d(channels_in),
        conv(channels_in, inside, kernel=1),
        nn.BatchNorm2d(inside),
        nn.PReLU(inside),
        conv(inside, inside, kernel=3),
        nn.BatchNorm2d(inside),
        nn.PReLU(inside),
        conv(inside, channels_out, kernel=1, stride=stride),  # only here, three quarters of the pixels go unseen
        nn.BatchNorm2d(channels_out),
    )


def widths_and_strides(channels: tuple[int, ...], num_blocks: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    """Yield (channels in, channels out, stride) of each block; the first of a stage halves the map."""
    before = 64
    for after, count in zip(channels, num_blocks, strict=True):
        yield before, after, 2
        yield from [(after, after, 1)] * (count - 1)
        before = after


def conv(channels_in: int, channels_out: int, *, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Return a convolution without bias that keeps the map's size but for the stride."""
    return nn.Conv2d(channels_in, channels_out, kernel, stride=stride, padding=kernel // 2, bias=False)


def _initialise(network: Ir) -> None:
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
