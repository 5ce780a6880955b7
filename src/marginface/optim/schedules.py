"""The learning rate as a pure function of the step: `factor(step)` in [0, 1] times the base rate.

Closed forms only, so that a resumed run, or one whose length was changed, has the same curve as one without a break.

Warm-up rises linearly from zero: factor (step + 1) / warm-up steps. Zero is where the line starts, one step before the
first, so that step 0 already moves the weights and the last warm-up step has the full rate. arcface_torch's scheduler
instead gives the very first iteration the full rate, which is what a warm-up is there to prevent.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

from marginface.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """What all schedules share. A subclass adds `kind` and `_after_warmup`."""

    kind: str
    warmup_epochs: float = 0.0
    """Epochs of linear rise from zero, part of the run's length; fractions are allowed."""

    def __post_init__(self) -> None:
        if self.warmup_epochs < 0.0:
            raise ValueError(f"warmup_epochs is {self.warmup_epochs}; it may not be below 0.")

    def factor(self, step: int, *, total_steps: int, steps_per_epoch: int) -> float:
        """Return what the base learning rate is multiplied by at `step`, in [0, 1].

        Args:
            step: optimiser steps done before this one, 0 for the first; micro-batches do not count. At and past
                `total_steps` the curve's end holds.
            total_steps: length of the run.
            steps_per_epoch: optimiser steps in one epoch.

        Raises:
            InputError: the schedule does not fit a run of this length.
        """
        if step < 0 or total_steps < 1 or steps_per_epoch < 1:
            raise ValueError(f"step {step} of {total_steps}, {steps_per_epoch} an epoch: a run has steps from 0 on.")
        warmup_steps = round(self.warmup_epochs * steps_per_epoch)
        if warmup_steps and warmup_steps >= total_steps:
            raise InputError(
                f"warmup_epochs is {self.warmup_epochs:g}, which is all of the run's "
                f"{total_steps / steps_per_epoch:g} epochs; shorten the warm-up or train longer."
            )
        self._check_fits(total_epochs=total_steps / steps_per_epoch)
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        progress = min(1.0, (step - warmup_steps) / (total_steps - warmup_steps))
        return self._after_warmup(progress, epoch=step / steps_per_epoch)

    def _check_fits(self, *, total_epochs: float) -> None:
        """Raise InputError where a setting could have no effect in a run of this length."""

    def _after_warmup(self, progress: float, *, epoch: float) -> float:
        """Return the factor at `progress` in [0, 1] from the end of warm-up to the end of the run."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class StepConfig(ScheduleConfig):
    """Constant, and a tenth of it after each milestone: MagFace (10, 18, 22 of 25), AdaFace (12, 20, 24 of 26)."""

    kind: Literal["step"] = "step"
    milestones: tuple[float, ...]
    """Epochs at whose start the rate drops, counted from the start of the run, rising."""
    gamma: float = 0.1
    """What each milestone multiplies the rate by."""

    def __post_init__(self) -> None:
        super().__post_init__()
        rising = all(a < b for a, b in itertools.pairwise((0.0, *self.milestones)))
        if not self.milestones or not rising:
            raise ValueError(f"milestones are {list(self.milestones)}; give epochs above 0 in rising order.")
        if not 0.0 < self.gamma < 1.0:
            raise ValueError(f"gamma is {self.gamma}; it must be above 0 and below 1.")

    def _check_fits(self, *, total_epochs: float) -> None:
        if self.milestones[-1] >= total_epochs:
            raise InputError(
                f"milestones {list(self.milestones)} do not fit a run of {total_epochs:g} epochs: nothing would happen "
                f"at {self.milestones[-1]:g}; move the milestones or train longer."
            )
        if self.milestones[0] < self.warmup_epochs:
            raise InputError(
                f"the first milestone, epoch {self.milestones[0]:g}, lies within the {self.warmup_epochs:g} "
                "warmup_epochs; move it after them."
            )

    def _after_warmup(self, progress: float, *, epoch: float) -> float:
        return math.pow(self.gamma, sum(epoch >= milestone for milestone in self.milestones))


@dataclass(frozen=True, kw_only=True)
class PolynomialConfig(ScheduleConfig):
    """(1 - progress) ** power, to zero at the end of the run: arcface_torch."""

    kind: Literal["polynomial"] = "polynomial"
    power: float = 2.0
    """1 in today's arcface_torch; 2 before April 2023, which is what its published models and logs were made with."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.power <= 0.0:
            raise ValueError(f"power is {self.power}; it must be above 0.")

    def _after_warmup(self, progress: float, *, epoch: float) -> float:
        return math.pow(1.0 - progress, self.power)


@dataclass(frozen=True, kw_only=True)
class CosineConfig(ScheduleConfig):
    """Half a cosine from 1 to `final_factor` (Loshchilov and Hutter, arXiv:1608.03983, without restarts)."""

    kind: Literal["cosine"] = "cosine"
    final_factor: float = 0.0
    """The factor that the curve ends at."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.final_factor < 1.0:
            raise ValueError(f"final_factor is {self.final_factor}; it must be in [0, 1).")

    def _after_warmup(self, progress: float, *, epoch: float) -> float:
        return self.final_factor + (1.0 - self.final_factor) * 0.5 * (1.0 + math.cos(math.pi * progress))
