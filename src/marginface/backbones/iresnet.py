"""iResNet: the residual network of ArcFace, MagFace and mindface ("insightface style"; Deng et al., arXiv:1801.07698).

A block normalises before its first convolution and has no activation after the sum. The stem keeps the resolution, each
stage halves it, and the last map is flattened whole: the position of a feature in an aligned face carries meaning.
Layers and state-dict keys are those of the published weights.
"""

from __future__ import annotations

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
    "iresnet18": (2, 2, 2, 2),
    "iresnet34": (3, 4, 6, 3),
    "iresnet50": (3, 4, 14, 3),
    "iresnet100": (3, 13, 30, 3),
    "iresnet200": (6, 26, 60, 6),
    "iresnet2060": (3, 128, 896, 3),
}
STAGE_CHANNELS = (64, 128, 256, 512)


@dataclass(frozen=True, kw_only=True)
class IResNetConfig:
    """iResNet of a chosen depth."""

    kind: Literal["iresnet18", "iresnet34", "iresnet50", "iresnet100", "iresnet200", "iresnet2060"] = "iresnet50"
    embedding_dim: int = 512
    dropout: float = 0.0
    """Probability in [0, 1), before the embedding layer. arcface_torch trains with 0, MagFace with 0.4."""
    dropout_unit: Literal["value", "channel"] = "value"
    """What is dropped at a time: one value of the flattened map, or (MagFace) a whole 7 x 7 channel."""
    bn_eps: float = 1e-5
    """Added to the variance. arcface_torch and mindface 1e-5; MagFace's weights were trained with 2e-5."""
    bn_momentum: float = 0.1
    """Share of the newest batch in the running statistics, as torch means it. MagFace has 0.9, copied from MXNet where
    the word means the opposite: its statistics are almost those of the last batch."""
    conv_init: Literal["normal", "kaiming"] = "normal"
    """Normal with deviation 0.1 (arcface_torch), or Kaiming normal over fan-out (MagFace)."""

    def __post_init__(self) -> None:
        check_embedding_dim(self.embedding_dim)
        check_dropout(self.dropout)
        if self.bn_eps <= 0.0 or not 0.0 < self.bn_momentum <= 1.0:
            raise ValueError(f"bn_eps {self.bn_eps} must be above 0 and bn_momentum {self.bn_momentum} in (0, 1].")

    def build(self, *, input_size: int = 112, seed: int = 0) -> IResNet:
        """Return the network for square images of `input_size` pixels, a multiple of 16."""
        with seeded(seed):
            return IResNet(self, input_size=input_size)


class IResNet(nn.Module):
    """Images (B, 3, S, S) in the contract's range to embeddings (B, D), not normalised."""

    def __init__(self, config: IResNetConfig, *, input_size: int) -> None:
        super().__init__()
        side = last_map_side(config.kind, input_size)
        self.input_size = input_size
        self.conv1 = _conv(3, 64, kernel=3)
        self.bn1 = nn.BatchNorm2d(64)
        self.prelu = nn.PReLU(64)
        channels_in = (64, *STAGE_CHANNELS[:-1])
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            _stage(before, after, num_blocks)
            for before, after, num_blocks in zip(
                channels_in, STAGE_CHANNELS, BLOCKS_PER_STAGE[config.kind], strict=True
            )
        )
        self.bn2 = nn.BatchNorm2d(STAGE_CHANNELS[-1])
        self.dropout = nn.Dropout2d(config.dropout) if config.dropout_unit == "channel" else nn.Dropout(config.dropout)
        self.fc = nn.Linear(STAGE_CHANNELS[-1] * side * side, config.embedding_dim)
        self.features = nn.BatchNorm1d(config.embedding_dim)  # the published name of this layer
        # A trained scale here would only undo what the head normalises away; the bias still moves the origin.
        self.features.weight.requires_grad_(False)
        _initialise(self, config)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings (B, D)."""
        check_images(images, self.input_size)
        x = self.prelu(self.bn1(self.conv1(images)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = self.dropout(self.bn2(x)).flatten(1)
        return self.features(embed_in_full_precision(self.fc, x))  # type: ignore[no-any-return]


class IBasicBlock(nn.Module):
    """BN, conv, BN, PReLU, conv (strided), BN, plus the shortcut."""

    def __init__(self, channels_in: int, channels_out: int, *, stride: int, project: bool) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.conv1 = _conv(channels_in, channels_out, kernel=3)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.prelu = nn.PReLU(channels_out)
        self.conv2 = _conv(channels_out, channels_out, kernel=3, stride=stride)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.downsample: nn.Sequential | None = None
        if project:
            shortcut = _conv(channels_in, channels_out, kernel=1, stride=stride)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(channels_out))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels_out, side / stride, side / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        result: Tensor = self.bn3(self.conv2(x)) + shortcut
        return result


def _stage(channels_in: int, channels_out: int, num_blocks: int) -> nn.Sequential:
    first = IBasicBlock(channels_in, channels_out, stride=2, project=True)
    rest = [IBasicBlock(channels_out, channels_out, stride=1, project=False) for _ in range(num_blocks - 1)]
    return nn.Sequential(first, *rest)


def _conv(channels_in: int, channels_out: int, *, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, kernel, stride=stride, padding=kernel // 2, bias=False)


def _initialise(network: IResNet, config: IResNetConfig) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and config.conv_init == "normal":
            nn.init.normal_(module.weight, std=0.1)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.eps, module.momentum = config.bn_eps, config.bn_momentum
