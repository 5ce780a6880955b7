"""MobileFaceNet (Chen et al., arXiv:1804.07573) in the 1.2 M layout of MultiFace and the TreB1eN lineage.

Inverted residual blocks: widen by a 1x1 convolution, filter each channel, narrow without activation. A depthwise filter
as large as the last map replaces average pooling, so that the middle of a face may weigh more than its corners.
Layers and state-dict keys are those of MultiFace's weights, which start from torch's own initialisation. Differs from
them: the embedding is not normalised inside, so that its length survives.

`mobilefacenet_112x96` is the same network for the older crops of SphereFace, 112 high and 96 wide. Its template is that
of the 112 x 112 crops less 8 pixels on either side, so it takes those and looks at their middle 96 columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from marginface.backbones.backbone import (
    TOTAL_STRIDE,
    check_embedding_dim,
    check_images,
    embed_in_full_precision,
    last_map_side,
    seeded,
)
from marginface.errors import InputError

COLUMNS_LEFT_OUT = 8
"""On either side of the image, by `mobilefacenet_112x96`: together one column of the last map."""


@dataclass(frozen=True, kw_only=True)
class MobileFaceNetConfig:
    """MobileFaceNet with 1.2 M parameters at 512 dimensions."""

    kind: Literal["mobilefacenet", "mobilefacenet_112x96"] = "mobilefacenet"
    embedding_dim: int = 512

    def __post_init__(self) -> None:
        check_embedding_dim(self.embedding_dim)

    def build(self, *, input_size: int = 112, seed: int = 0) -> MobileFaceNet:
        """Return the network for square images of `input_size` pixels, a multiple of 16 (112x96: 32 or more)."""
        with seeded(seed):
            return MobileFaceNet(self, input_size=input_size)


class MobileFaceNet(nn.Module):
    """Images (B, 3, S, S) in the contract's range to embeddings (B, D), not normalised."""

    def __init__(self, config: MobileFaceNetConfig, *, input_size: int) -> None:
        super().__init__()
        side = last_map_side(config.kind, input_size)
        self.input_size = input_size
        self.columns_left_out = COLUMNS_LEFT_OUT if config.kind == "mobilefacenet_112x96" else 0
        last_kernel = (side, side - 2 * self.columns_left_out // TOTAL_STRIDE)
        if last_kernel[1] < 1:
            raise InputError(
                f"{config.kind} leaves out 16 columns of {input_size}; give 32 pixels or more, such as 112."
            )
        self.conv1 = ConvBlock(3, 64, kernel=3, stride=2)
        self.conv2_dw = ConvBlock(64, 64, kernel=3, groups=64)
        self.conv_23 = InvertedBottleneck(64, 64, hidden=128, stride=2)
        self.conv_3 = ResidualStage(64, hidden=128, num_blocks=4)
        self.conv_34 = InvertedBottleneck(64, 128, hidden=256, stride=2)
        self.conv_4 = ResidualStage(128, hidden=256, num_blocks=6)
        self.conv_45 = InvertedBottleneck(128, 128, hidden=512, stride=2)
        self.conv_5 = ResidualStage(128, hidden=256, num_blocks=2)
        self.conv_6_sep = ConvBlock(128, 512, kernel=1)
        self.conv_6_dw = ConvBlock(512, 512, kernel=last_kernel, padding=0, groups=512, activate=False)
        self.linear = nn.Linear(512, config.embedding_dim, bias=False)
        self.bn = nn.BatchNorm1d(config.embedding_dim)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings (B, D)."""
        check_images(images, self.input_size)
        if self.columns_left_out:
            images = images[..., self.columns_left_out : -self.columns_left_out]
        x = self.conv2_dw(self.conv1(images))
        x = self.conv_3(self.conv_23(x))
        x = self.conv_4(self.conv_34(x))
        x = self.conv_5(self.conv_45(x))
        x = self.conv_6_dw(self.conv_6_sep(x)).flatten(1)
        return self.bn(embed_in_full_precision(self.linear, x))  # type: ignore[no-any-return]


class ConvBlock(nn.Module):
    """Convolution and BN, then PReLU unless the block is linear."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int | None = None,
        groups: int = 1,
        activate: bool = True,
    ) -> None:
        super().__init__()
        if padding is None:
            padding = kernel // 2 if isinstance(kernel, int) else 0
        self.conv = nn.Conv2d(
            channels_in, channels_out, kernel, stride=stride, padding=padding, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(channels_out)
        self.prelu = nn.PReLU(channels_out) if activate else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels_out, side, side)."""
        result: Tensor = self.prelu(self.bn(self.conv(x)))
        return result


class InvertedBottleneck(nn.Module):
    """Widen to `hidden` channels, filter each alone with the stride, narrow without activation."""

    def __init__(self, channels_in: int, channels_out: int, *, hidden: int, stride: int) -> None:
        super().__init__()
        self.conv = ConvBlock(channels_in, hidden, kernel=1)
        self.conv_dw = ConvBlock(hidden, hidden, kernel=3, stride=stride, groups=hidden)
        self.project = ConvBlock(hidden, channels_out, kernel=1, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels_out, side / stride, side / stride)."""
        result: Tensor = self.project(self.conv_dw(self.conv(x)))
        return result


class ResidualStage(nn.Module):
    """Bottlenecks of one width, each added to what it was given."""

    def __init__(self, channels: int, *, hidden: int, num_blocks: int) -> None:
        super().__init__()
        self.model = nn.ModuleList(
            InvertedBottleneck(channels, channels, hidden=hidden, stride=1) for _ in range(num_blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        for block in self.model:
            x = x + block(x)
        return x
