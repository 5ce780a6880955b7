"""MobileFaceNet as arcface_torch and mindface have it: `mbf` ("mobilefacenet-0.45g") and `mbf_large`.

The layout of `mobilefacenet.py` with wider maps (x2 or x4) but the expansions left as they were, so a block here often
narrows where the paper's widens. State-dict keys are those of the published weights, built from nested `layers`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from marginface.backbones.backbone import (
    check_embedding_dim,
    check_images,
    embed_in_full_precision,
    last_map_side,
    seeded,
)

WIDTH_AND_BLOCKS = {
    "mobilefacenet_045g": (2, (1, 4, 6, 2)),
    "mobilefacenet_large": (4, (2, 8, 12, 4)),
}


@dataclass(frozen=True, kw_only=True)
class WideMobileFaceNetConfig:
    """`mbf` (2.1 M parameters, 0.44 GMACs) or `mbf_large` (6.3 M, 1.8 GMACs)."""

    kind: Literal["mobilefacenet_045g", "mobilefacenet_large"] = "mobilefacenet_045g"
    embedding_dim: int = 512

    def __post_init__(self) -> None:
        check_embedding_dim(self.embedding_dim)

    def build(self, *, input_size: int = 112, seed: int = 0) -> WideMobileFaceNet:
        """Return the network for square images of `input_size` pixels, a multiple of 16."""
        with seeded(seed):
            return WideMobileFaceNet(self, input_size=input_size)


class WideMobileFaceNet(nn.Module):
    """Images (B, 3, S, S) in the contract's range to embeddings (B, D), not normalised."""

    def __init__(self, config: WideMobileFaceNetConfig, *, input_size: int) -> None:
        super().__init__()
        side = last_map_side(config.kind, input_size)
        self.input_size = input_size
        width, blocks = WIDTH_AND_BLOCKS[config.kind]
        narrow, wide = 64 * width, 128 * width
        # The published `mbf` groups its 128 channels by 64, two to a group: not quite depthwise, kept for its weights.
        second = (
            ConvBlock(narrow, narrow, kernel=3, groups=64)
            if blocks[0] == 1
            else ResidualStage(narrow, hidden=128, num_blocks=blocks[0])
        )
        self.layers = nn.ModuleList(
            [
                ConvBlock(3, narrow, kernel=3, stride=2),
                second,
                InvertedBottleneck(narrow, narrow, hidden=128, stride=2),
                ResidualStage(narrow, hidden=128, num_blocks=blocks[1]),
                InvertedBottleneck(narrow, wide, hidden=256, stride=2),
                ResidualStage(wide, hidden=256, num_blocks=blocks[2]),
                InvertedBottleneck(wide, wide, hidden=512, stride=2),
                ResidualStage(wide, hidden=256, num_blocks=blocks[3]),
            ]
        )
        self.conv_sep = ConvBlock(wide, 512, kernel=1)
        self.features = Embedder(config.embedding_dim, side=side)
        _initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings (B, D)."""
        check_images(images, self.input_size)
        x = images
        for layer in self.layers:
            x = layer(x)
        return embed_in_full_precision(self.features, self.conv_sep(x))


class ConvBlock(nn.Module):
    """Convolution and BN, then PReLU unless the block is linear."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        kernel: int,
        stride: int = 1,
        padding: int | None = None,
        groups: int = 1,
        activate: bool = True,
    ) -> None:
        super().__init__()
        padding = kernel // 2 if padding is None else padding
        conv = nn.Conv2d(channels_in, channels_out, kernel, stride=stride, padding=padding, groups=groups, bias=False)
        last = [nn.PReLU(channels_out)] if activate else []
        self.layers = nn.Sequential(conv, nn.BatchNorm2d(channels_out), *last)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels_out, side, side)."""
        result: Tensor = self.layers(x)
        return result


class InvertedBottleneck(nn.Module):
    """1x1 to `hidden` channels, filter each alone with the stride, 1x1 back without activation."""

    def __init__(self, channels_in: int, channels_out: int, *, hidden: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            ConvBlock(channels_in, hidden, kernel=1),
            ConvBlock(hidden, hidden, kernel=3, stride=stride, groups=hidden),
            ConvBlock(hidden, channels_out, kernel=1, activate=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels_out, side / stride, side / stride)."""
        result: Tensor = self.layers(x)
        return result


class ResidualStage(nn.Module):
    """Bottlenecks of one width, each added to what it was given."""

    def __init__(self, channels: int, *, hidden: int, num_blocks: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            InvertedBottleneck(channels, channels, hidden=hidden, stride=1) for _ in range(num_blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        for block in self.layers:
            x = x + block(x)
        return x


class Embedder(nn.Module):
    """Depthwise filter over the whole map, linear layer, BN ("GDC"): (B, 512, side, side) to (B, D)."""

    def __init__(self, embedding_dim: int, *, side: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            ConvBlock(512, 512, kernel=side, padding=0, groups=512, activate=False),
            nn.Flatten(),
            nn.Linear(512, embedding_dim, bias=False),
            nn.BatchNorm1d(embedding_dim),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return embeddings (B, D)."""
        result: Tensor = self.layers(x)
        return result


def _initialise(network: WideMobileFaceNet) -> None:
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
