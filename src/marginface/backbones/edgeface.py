"""EdgeFace (George et al., IEEE T-BIOM 2024, arXiv:2307.01838): EdgeNeXt (arXiv:2206.10589) with an embedding layer.

A stage filters each channel alone with ever larger kernels (3, 5, 7, 9) and mixes channels by a two-layer perceptron;
from the second stage on its last block filters groups of channels one after another and then lets channels attend to
channels (cross-covariance), so that its cost grows with the pixels and not with their square.
`edgeface_xs` and `edgeface_s` split each linear layer in two of a lower rank (0.6 and 0.5 of the smaller side).
Layers and state-dict keys are those of the published weights without their prefix `model.`.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marginface.backbones.backbone import (
    check_embedding_dim,
    check_images,
    embed_in_full_precision,
    last_map_side,
    seeded,
)
from marginface.errors import InputError

KERNELS = (3, 5, 7, 9)
CHANNEL_GROUPS = (2, 2, 3, 4)
"""Groups that the last block of each stage filters one after another; the first stage has no such block."""
MLP_RATIO = 4
NORM_EPS = 1e-6
INITIAL_SHARE = 1e-6
"""How much of each branch enters at the start of training: almost nothing, so that depth does not matter at first."""
POSITION_WAVES = 32
"""Sines and cosines for each axis in the position code."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What tells one published size from another."""

    channels: tuple[int, int, int, int]
    num_blocks: tuple[int, int, int, int]
    num_heads: int
    rank_ratio: float | None = None
    """Rank of a linear layer over its smaller side; None for full layers."""


LAYOUTS = {
    "edgeface_xxs": Layout(channels=(24, 48, 88, 168), num_blocks=(2, 2, 6, 2), num_heads=4),
    "edgeface_xs": Layout(channels=(32, 64, 100, 192), num_blocks=(3, 3, 9, 3), num_heads=4, rank_ratio=0.6),
    "edgeface_s": Layout(channels=(48, 96, 160, 304), num_blocks=(3, 3, 9, 3), num_heads=8, rank_ratio=0.5),
    "edgeface_base": Layout(channels=(80, 160, 288, 584), num_blocks=(3, 3, 9, 3), num_heads=8),
}
MakeLinear = Callable[[int, int], nn.Module]


@dataclass(frozen=True, kw_only=True)
class EdgeFaceConfig:
    """EdgeFace-XXS (1.2 M parameters), -XS with gamma 0.6 (1.8 M), -S with gamma 0.5 (3.7 M) or -Base (18 M)."""

    kind: Literal["edgeface_xxs", "edgeface_xs", "edgeface_s", "edgeface_base"] = "edgeface_xxs"
    embedding_dim: int = 512

    def __post_init__(self) -> None:
        check_embedding_dim(self.embedding_dim)

    def build(self, *, input_size: int = 112, seed: int = 0) -> EdgeFace:
        """Return the network for square images of `input_size` pixels, a multiple of 16 and at least 32."""
        with seeded(seed):
            return EdgeFace(self, input_size=input_size)


class EdgeFace(nn.Module):
    """Images (B, 3, S, S) in the contract's range to embeddings (B, D), not normalised."""

    def __init__(self, config: EdgeFaceConfig, *, input_size: int) -> None:
        super().__init__()
        if last_map_side(config.kind, input_size) < 2:  # a fifth halving follows the four
            raise InputError(f"{config.kind} takes square images of 32 pixels or more, not {input_size}.")
        layout = LAYOUTS[config.kind]
        make_linear = _linear_of_rank(layout.rank_ratio)
        self.input_size = input_size
        first, last = layout.channels[0], layout.channels[-1]
        self.stem = nn.Sequential(nn.Conv2d(3, first, 4, stride=4), ChannelNorm(first))
        self.stages = nn.Sequential(*(_stage(layout, index, make_linear) for index in range(4)))
        self.head = nn.ModuleDict({"norm": ChannelNorm(last), "fc": make_linear(last, config.embedding_dim)})
        _initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings (B, D)."""
        check_images(images, self.input_size)
        x = self.stages(self.stem(images))
        x = self.head["norm"](x.mean((2, 3), keepdim=True)).flatten(1)
        return embed_in_full_precision(self.head["fc"], x)


class FilterBlock(nn.Module):
    """Filter each channel alone, then mix channels; a learnt share of that is added to the input."""

    def __init__(self, channels: int, *, kernel: int, make_linear: MakeLinear) -> None:
        super().__init__()
        self.conv_dw = _filter(channels, kernel)
        self.norm = nn.LayerNorm(channels, eps=NORM_EPS)
        self.mlp = Mlp(channels, make_linear)
        self.gamma = nn.Parameter(INITIAL_SHARE * torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        mixed = self.gamma * self.mlp(self.norm(_channels_to_end(self.conv_dw(x))))
        return x + _channels_to_front(mixed)


class AttentionBlock(nn.Module):
    """Filter groups of channels one after another, let channels attend to channels, then mix them."""

    def __init__(
        self, channels: int, *, num_groups: int, num_heads: int, knows_place: bool, make_linear: MakeLinear
    ) -> None:
        super().__init__()
        width = math.ceil(channels / num_groups)
        self.convs = nn.ModuleList(_filter(width, 3) for _ in range(num_groups - 1))
        self.pos_embd = PositionCode(channels) if knows_place else None
        self.norm_xca = nn.LayerNorm(channels, eps=NORM_EPS)
        self.gamma_xca = nn.Parameter(INITIAL_SHARE * torch.ones(channels))
        self.xca = ChannelAttention(channels, num_heads, make_linear)
        self.norm = nn.LayerNorm(channels, eps=NORM_EPS)
        self.mlp = Mlp(channels, make_linear)
        self.gamma = nn.Parameter(INITIAL_SHARE * torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        pixels = _channels_to_end(self._filter_groups(x))  # (B, height, width, C)
        batch, height, width, channels = pixels.shape
        if self.pos_embd is not None:
            pixels = pixels + self.pos_embd(height, width)
        tokens = pixels.reshape(batch, height * width, channels)
        tokens = tokens + self.gamma_xca * self.xca(self.norm_xca(tokens))
        mixed = self.gamma * self.mlp(self.norm(tokens))
        return x + _channels_to_front(mixed.reshape(batch, height, width, channels))

    def _filter_groups(self, x: Tensor) -> Tensor:
        """Each group is filtered together with the result of the one before it; the last stays as it is."""
        *groups, last = x.chunk(len(self.convs) + 1, dim=1)
        done: list[Tensor] = []
        for group, conv in zip(groups, self.convs, strict=True):
            done.append(conv(group + done[-1] if done else group))
        return torch.cat([*done, last], dim=1)


class ChannelAttention(nn.Module):
    """Cross-covariance attention: (B, N, C) to the same, each channel a mixture of the channels of its head."""

    def __init__(self, channels: int, num_heads: int, make_linear: MakeLinear) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(num_heads, 1, 1))
        self.qkv = make_linear(channels, 3 * channels)
        self.proj = make_linear(channels, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        batch, num_tokens, channels = tokens.shape
        num_heads = self.temperature.shape[0]
        qkv = self.qkv(tokens).view(batch, num_tokens, 3, num_heads, channels // num_heads)
        q, k, v = qkv.permute(2, 0, 3, 4, 1)  # each (B, heads, C / heads, N)
        cosines = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
        mixed = (cosines * self.temperature).softmax(dim=-1) @ v
        result: Tensor = self.proj(mixed.permute(0, 3, 1, 2).reshape(batch, num_tokens, channels))
        return result


class Mlp(nn.Module):
    """Linear, GELU, linear, over the last dimension."""

    def __init__(self, channels: int, make_linear: MakeLinear) -> None:
        super().__init__()
        self.fc1 = make_linear(channels, MLP_RATIO * channels)
        self.fc2 = make_linear(MLP_RATIO * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the same shape."""
        result: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return result


class LowRankLinear(nn.Module):
    """A linear layer as the product of two through `rank` values."""

    def __init__(self, dim_in: int, dim_out: int, *, rank: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(dim_in, rank, bias=False)
        self.linear2 = nn.Linear(rank, dim_out)

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., dim_out)."""
        result: Tensor = self.linear2(self.linear1(x))
        return result


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of a map (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        return _channels_to_front(super().forward(_channels_to_end(x)))


class PositionCode(nn.Module):
    """Sines and cosines of the row and the column, projected to the channels by a 1x1 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.token_projection = nn.Conv2d(2 * POSITION_WAVES, channels, 1)

    def forward(self, height: int, width: int) -> Tensor:
        """Return (1, height, width, C)."""
        weight = self.token_projection.weight
        rows = _waves(height, weight)[:, None, :].expand(height, width, POSITION_WAVES)
        columns = _waves(width, weight)[None, :, :].expand(height, width, POSITION_WAVES)
        code = torch.cat([rows, columns], dim=2).permute(2, 0, 1)[None].to(weight.dtype)
        return _channels_to_end(self.token_projection(code))


def _waves(length: int, like: Tensor) -> Tensor:
    """Return (length, 32): sine and cosine in turn of the place in (0, 2 pi], each pair of a longer wavelength."""
    dtype = torch.promote_types(like.dtype, torch.float32)  # half precision could not tell far places apart
    places = torch.arange(1, length + 1, device=like.device, dtype=dtype) * (2 * math.pi / (length + 1e-6))
    pairs = torch.arange(POSITION_WAVES // 2, device=like.device, dtype=dtype)
    angles = places[:, None] / 10_000 ** (2 * pairs / POSITION_WAVES)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


def _stage(layout: Layout, index: int, make_linear: MakeLinear) -> nn.Sequential:
    channels = layout.channels[index]
    blocks: list[nn.Module] = [
        FilterBlock(channels, kernel=KERNELS[index], make_linear=make_linear) for _ in range(layout.num_blocks[index])
    ]
    downsample = nn.Sequential()
    if index > 0:
        before = layout.channels[index - 1]
        downsample = nn.Sequential(ChannelNorm(before), nn.Conv2d(before, channels, 2, stride=2))
        blocks[-1] = AttentionBlock(
            channels,
            num_groups=CHANNEL_GROUPS[index],
            num_heads=layout.num_heads,
            knows_place=index == 1,
            make_linear=make_linear,
        )
    return nn.Sequential(OrderedDict(downsample=downsample, blocks=nn.Sequential(*blocks)))


def _linear_of_rank(rank_ratio: float | None) -> MakeLinear:
    if rank_ratio is None:
        return nn.Linear
    return lambda dim_in, dim_out: LowRankLinear(dim_in, dim_out, rank=max(2, int(min(dim_in, dim_out) * rank_ratio)))


def _filter(channels: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)


def _channels_to_end(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)  # for free where the map is channels_last


def _channels_to_front(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def _initialise(network: EdgeFace) -> None:
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
