"""The settings that every optimiser has; each optimiser adds its own in its file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch.optim import Optimizer

from marginface.optim.centre_rules import CentreRule
from marginface.optim.param_groups import ParamGroup


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """What all optimisers share. A subclass adds `kind`, its own settings and `build`."""

    kind: str
    lr: float
    """Learning rate at the top of the schedule, for the global batch of the recipe; it is not scaled with the batch."""
    weight_decay: float
    """Per step, times the learning rate; not on norms, biases and PReLU."""
    head_lr_factor: float = 1.0
    """Learning rate of the head over that of the backbone."""
    head_weight_decay: float | None = None
    """Decay of the class centres; None means `weight_decay`."""

    def __post_init__(self) -> None:
        if self.lr <= 0.0:
            raise ValueError(f"lr is {self.lr}; a learning rate is above 0.")
        if self.weight_decay < 0.0 or (self.head_weight_decay or 0.0) < 0.0:
            raise ValueError(
                f"weight_decay is {self.weight_decay} and head_weight_decay {self.head_weight_decay}; "
                "neither may be below 0."
            )
        if self.head_lr_factor < 0.0:
            raise ValueError(
                f"head_lr_factor is {self.head_lr_factor}; it may not be below 0 (0 keeps the head still)."
            )

    def build(self, param_groups: Iterable[ParamGroup]) -> Optimizer:
        """Return the torch optimiser over `build_param_groups(...)`."""
        raise NotImplementedError

    def centre_rule(self) -> CentreRule:
        """Return the same step for class centres that the head moves itself."""
        raise NotImplementedError

    @property
    def centre_weight_decay(self) -> float:
        """Decay of the class centres."""
        return self.weight_decay if self.head_weight_decay is None else self.head_weight_decay

    @property
    def state_tensors_per_parameter(self) -> int:
        """How many tensors of a parameter's size the optimiser keeps, for the memory estimate."""
        raise NotImplementedError
