"""Vision transformers for faces: insightface's (arcface_torch), mindface's and CVLface's (after arXiv:2010.11929).

No class token: all tokens are flattened and one large linear layer reads them, for in an aligned face the place of a
token carries meaning. Patches of 9 pixels cut 112 into 12 a side; the last four rows and columns are never seen.
Masking (in training) takes random tokens out before the blocks and puts one learnt token in their places after them.
State-dict keys are those of insightface and CVLface; mindface's weights need a rename and its k and q swapped.
Differs from insightface: masking uses the ratio that is configured (theirs is 0.1 whenever it is above 0), attention
follows autocast (scaled_dot_product_attention) where theirs is forced to fp32, and recomputing is the trainer's affair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marginface.backbones.backbone import check_embedding_dim, check_images, embed_in_full_precision, seeded
from marginface.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What tells one published transformer from another."""

    width: int
    depth: int
    num_heads: int = 8
    mlp_ratio: int = 4
    patch_size: int = 9
    qkv_bias: bool = False
    norm_eps: float = 1e-5
    mask_token: Literal["always", "when masking", "never"] = "always"
    """Whether the weights hold a token for masked places."""


def _mindface(width: int, depth: int) -> Layout:
    return Layout(width=width, depth=depth, qkv_bias=True, norm_eps=1e-7, mask_token="never")


LAYOUTS = {
    "vit_t": Layout(width=256, depth=12),
    "vit_s": Layout(width=512, depth=12),
    "vit_b": Layout(width=512, depth=24),
    "vit_l": Layout(width=768, depth=24),
    "vit_h": Layout(width=1024, depth=48),
    "mindface_vit_t": _mindface(256, 12),
    "mindface_vit_s": _mindface(512, 12),
    "mindface_vit_b": _mindface(512, 24),
    "mindface_vit_l": _mindface(768, 24),
    "cvlface_vit_s": Layout(width=512, depth=12, mlp_ratio=5, patch_size=8, mask_token="when masking"),
    "cvlface_vit_b": Layout(width=512, depth=24, num_heads=16, mlp_ratio=3, patch_size=8, mask_token="when masking"),
}
FEATURE_BN_EPS = 2e-5


@dataclass(frozen=True, kw_only=True)
class VitConfig:
    """A vision transformer of a chosen size."""

    kind: Literal[
        "vit_t",
        "vit_s",
        "vit_b",
        "vit_l",
        "vit_h",
        "mindface_vit_t",
        "mindface_vit_s",
        "mindface_vit_b",
        "mindface_vit_l",
        "cvlface_vit_s",
        "cvlface_vit_b",
    ] = "vit_s"
    embedding_dim: int = 512
    drop_path: float = 0.1
    """Probability in [0, 1) that an image skips the last block's branches; less before, falling to 0 at the first."""
    mask_ratio: float = 0.0
    """Share in [0, 1) of the tokens that are masked in training. insightface's `vit_t`, `vit_s`, `vit_b` train with
    0.1; mindface's weights have no token for it."""

    def __post_init__(self) -> None:
        check_embedding_dim(self.embedding_dim)
        for name in ("drop_path", "mask_ratio"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}; it is a share in [0, 1).")
        if self.mask_ratio > 0.0 and LAYOUTS[self.kind].mask_token == "never":
            raise ValueError(f"mask_ratio is {self.mask_ratio}, but {self.kind} has no mask token; set it to 0.")

    def build(self, *, input_size: int = 112, seed: int = 0) -> Vit:
        """Return the network for square images of `input_size` pixels, at least two patches a side."""
        with seeded(seed):
            return Vit(self, input_size=input_size)


class Vit(nn.Module):
    """Images (B, 3, S, S) in the contract's range to embeddings (B, D), not normalised."""

    def __init__(self, config: VitConfig, *, input_size: int) -> None:
        super().__init__()
        layout = LAYOUTS[config.kind]
        width, num_tokens = layout.width, _patches_a_side(config.kind, layout, input_size) ** 2
        self.input_size = input_size
        self.mask_ratio = config.mask_ratio
        self.pos_embed = nn.Parameter(torch.zeros(1, num_tokens, width))
        self.mask_token: nn.Parameter | None = None
        if layout.mask_token == "always" or (layout.mask_token == "when masking" and config.mask_ratio > 0.0):
            # Without masking it is carried along for the weights' sake; a parameter that no gradient reaches stops DDP.
            self.mask_token = nn.Parameter(torch.zeros(1, 1, width), requires_grad=config.mask_ratio > 0.0)
        self.patch_embed = PatchEmbedding(width, layout.patch_size)
        rates = torch.linspace(0.0, config.drop_path, layout.depth, device="cpu").tolist()
        self.blocks = nn.ModuleList(Block(layout, drop_path=rate) for rate in rates)
        self.norm = nn.LayerNorm(width, eps=layout.norm_eps)
        self.feature = nn.Sequential(
            nn.Linear(num_tokens * width, width, bias=False),
            nn.BatchNorm1d(width, eps=FEATURE_BN_EPS),
            nn.Linear(width, config.embedding_dim, bias=False),
            nn.BatchNorm1d(config.embedding_dim, eps=FEATURE_BN_EPS),
        )
        _initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings (B, D)."""
        check_images(images, self.input_size)
        tokens = self.patch_embed(images) + self.pos_embed
        order = None
        if self.training and self.mask_ratio > 0.0:
            tokens, order = take_some(tokens, self.mask_ratio)
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.norm(tokens)
        if order is not None and self.mask_token is not None:
            tokens = put_back(tokens, order, self.mask_token.to(tokens.dtype))
        return embed_in_full_precision(self.feature, tokens.flatten(1))


class PatchEmbedding(nn.Module):
    """Square patches of an image to tokens, row by row."""

    def __init__(self, width: int, patch_size: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch_size, stride=patch_size)

    def forward(self, images: Tensor) -> Tensor:
        """Return tokens (B, N, width)."""
        result: Tensor = self.proj(images).flatten(2).transpose(1, 2)
        return result


class Block(nn.Module):
    """Attention and a two-layer perceptron, each after a LayerNorm and added to what came in."""

    def __init__(self, layout: Layout, *, drop_path: float) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(layout.width, eps=layout.norm_eps)
        self.attn = Attention(layout.width, layout.num_heads, qkv_bias=layout.qkv_bias)
        self.norm2 = nn.LayerNorm(layout.width, eps=layout.norm_eps)
        self.mlp = Mlp(layout.width, layout.width * layout.mlp_ratio)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        rate = self.drop_path if self.training else 0.0
        tokens = tokens + skip_some(self.attn(self.norm1(tokens)), rate)
        return tokens + skip_some(self.mlp(self.norm2(tokens)), rate)


class Attention(nn.Module):
    """Attention of every token to all, in several heads."""

    def __init__(self, width: int, num_heads: int, *, qkv_bias: bool) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        batch, num_tokens, width = tokens.shape
        qkv = self.qkv(tokens).view(batch, num_tokens, 3, self.num_heads, width // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, N, width / heads)
        attended = F.scaled_dot_product_attention(q, k, v)
        result: Tensor = self.proj(attended.transpose(1, 2).reshape(batch, num_tokens, width))
        return result


class Mlp(nn.Module):
    """Linear, ReLU6, linear."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        result: Tensor = self.fc2(F.relu6(self.fc1(tokens)))
        return result


def skip_some(branch: Tensor, rate: float) -> Tensor:
    """Return a branch's tokens (B, N, width) with whole images set to 0 at `rate`, the rest scaled to the same mean."""
    if rate == 0.0:
        return branch
    kept = branch.new_empty(branch.shape[0], 1, 1).bernoulli_(1.0 - rate)
    return branch * (kept / (1.0 - rate))


def take_some(tokens: Tensor, mask_ratio: float) -> tuple[Tensor, Tensor]:
    """Return int(N (1 - mask_ratio)) random tokens of each image, and the order (B, N) that `put_back` needs."""
    batch, num_tokens, width = tokens.shape
    shuffled = torch.rand(batch, num_tokens, device=tokens.device).argsort(dim=1)
    kept = shuffled[:, : int(num_tokens * (1.0 - mask_ratio)), None].expand(-1, -1, width)
    return tokens.gather(1, kept), shuffled.argsort(dim=1)


def put_back(tokens: Tensor, order: Tensor, mask_token: Tensor) -> Tensor:
    """Return (B, N, width): the tokens at their old places, `mask_token` at all others."""
    batch, num_kept, width = tokens.shape
    masked = mask_token.expand(batch, order.shape[1] - num_kept, width)
    return torch.cat([tokens, masked], dim=1).gather(1, order[:, :, None].expand(-1, -1, width))


def _patches_a_side(kind: str, layout: Layout, input_size: int) -> int:
    if input_size < 2 * layout.patch_size:
        raise InputError(
            f"{kind} takes square images of at least {2 * layout.patch_size} pixels, two patches a side, not "
            f"{input_size}; published weights use 112."
        )
    return input_size // layout.patch_size


def _initialise(network: Vit) -> None:
    nn.init.trunc_normal_(network.pos_embed, std=0.02)
    if network.mask_token is not None:
        nn.init.normal_(network.mask_token, std=0.02)
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
