"""A backbone of one's own, named in recipes as `kind: "tests.helpers.plain_backbone:PlainBackboneConfig"`.

It has no batch normalisation, so that a batch in parts is exactly the batch, and dropout, so that resuming has
randomness to repeat.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

KIND = "tests.helpers.plain_backbone:PlainBackboneConfig"


@dataclass(frozen=True, kw_only=True)
class PlainBackboneConfig:
    kind: str = KIND
    embedding_dim: int = 16
    dropout: float = 0.0

    def build(self, *, input_size: int = 32, seed: int = 0) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return nn.Sequential(
                nn.Conv2d(3, 8, 4, stride=4),
                nn.PReLU(8),
                nn.Flatten(),
                nn.Dropout(self.dropout),
                nn.Linear(8 * (input_size // 4) ** 2, self.embedding_dim),
            )
