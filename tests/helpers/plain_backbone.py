"""A backbone of one's own, named in recipes as `kind: "tests.helpers.plain_backbone:PlainBackboneConfig"`.

It has no batch normalisation unless asked, so that a batch in parts is exactly the batch; dropout, so that resuming has
randomness to repeat; and residual blocks, for what is done block by block.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

KIND = "tests.helpers.plain_backbone:PlainBackboneConfig"


@dataclass(frozen=True, kw_only=True)
class PlainBackboneConfig:
    kind: str = KIND
    embedding_dim: int = 16
    dropout: float = 0.0
    num_blocks: int = 0
    batch_norm: bool = False
    """In the blocks."""

    def build(self, *, input_size: int = 32, seed: int = 0) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return nn.Sequential(
                nn.Conv2d(3, 8, 4, stride=4),
                nn.PReLU(8),
                *(Residual(8, batch_norm=self.batch_norm, dropout=self.dropout) for _ in range(self.num_blocks)),
                nn.Flatten(),
                nn.Dropout(self.dropout),
                nn.Linear(8 * (input_size // 4) ** 2, self.embedding_dim),
            )


class Residual(nn.Module):
    def __init__(self, channels: int, *, batch_norm: bool, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels) if batch_norm else nn.Identity()
        self.prelu = nn.PReLU(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.dropout(self.prelu(self.norm(self.conv(x))))
        return result
