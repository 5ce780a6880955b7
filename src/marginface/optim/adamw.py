"""AdamW (Loshchilov and Hutter, arXiv:1711.05101): for the transformers, with strong decay."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch

from marginface.optim.centre_rules import AdamWRule
from marginface.optim.optimizer import OptimizerConfig
from marginface.optim.param_groups import ParamGroup


@dataclass(frozen=True, kw_only=True)
class AdamWConfig(OptimizerConfig):
    """AdamW; rate and decay as arcface_torch trains its ViTs."""

    kind: Literal["adamw"] = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.999)
    """Shares kept at each step of the running mean of gradients, and of that of squared gradients."""
    eps: float = 1e-8
    """Added to the root of the mean square."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(0.0 <= beta < 1.0 for beta in self.betas):
            raise ValueError(f"betas are {list(self.betas)}; both must be in [0, 1).")
        if self.eps <= 0.0:
            raise ValueError(f"eps is {self.eps}; it must be above 0.")

    def build(self, param_groups: Iterable[ParamGroup]) -> torch.optim.AdamW:
        """Return AdamW over `build_param_groups(...)`."""
        return torch.optim.AdamW(
            param_groups,
            lr=self.lr,
            betas=self.betas,
            eps=self.eps,
            weight_decay=self.weight_decay,
        )

    def centre_rule(self) -> AdamWRule:
        """Return the same step for class centres that the head moves itself."""
        return AdamWRule(
            lr=self.lr * self.head_lr_factor, betas=self.betas, eps=self.eps, weight_decay=self.centre_weight_decay
        )

    @property
    def state_tensors_per_parameter(self) -> int:
        """The two running means."""
        return 2
