"""Stochastic gradient descent with momentum: what almost every published face recogniser was trained with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch

from marginface.optim.centre_rules import SgdRule
from marginface.optim.optimizer import OptimizerConfig
from marginface.optim.param_groups import ParamGroup


@dataclass(frozen=True, kw_only=True)
class SgdConfig(OptimizerConfig):
    """SGD; the defaults are the usual ones for a global batch of 512 to 1,024."""

    kind: Literal["sgd"] = "sgd"
    lr: float = 0.1
    weight_decay: float = 5e-4
    momentum: float = 0.9
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.momentum < 1.0:
            raise ValueError(f"momentum is {self.momentum}; it must be in [0, 1).")
        if self.nesterov and self.momentum == 0.0:
            raise ValueError("nesterov needs momentum above 0.")

    def build(self, param_groups: Iterable[ParamGroup]) -> torch.optim.SGD:
        """Return SGD over `build_param_groups(...)`."""
        return torch.optim.SGD(
            param_groups,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
        )

    def centre_rule(self) -> SgdRule:
        """Return the same step for class centres that the head moves itself."""
        return SgdRule(
            lr=self.lr * self.head_lr_factor,
            momentum=self.momentum,
            weight_decay=self.centre_weight_decay,
            nesterov=self.nesterov,
        )

    @property
    def state_tensors_per_parameter(self) -> int:
        """One velocity, or nothing without momentum."""
        return 1 if self.momentum else 0
