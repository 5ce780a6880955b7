"""How class centres move where a head moves them itself, some rows at a time, inside its backward pass.

The same arithmetic as torch.optim's SGD and AdamW, on the rows that are given and no others. A row that is left out
keeps its value and its state: that is what "frozen" means for the classes that a sampled head did not draw.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


class CentreRule(Protocol):
    """One optimiser's arithmetic, without memory of its own."""

    @property
    def lr(self) -> float:
        """Learning rate to start with; the training loop sets each step's."""

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the tensors of the centres' shape that it keeps, zero at first."""

    def move_(self, rows: Tensor, gradient: Tensor, state: Mapping[str, Tensor], *, lr: float, step: int) -> None:
        """Move `rows` (K, D) in place.

        Args:
            rows: some class centres.
            gradient: (K, D), overwritten.
            state: the same rows of each tensor in `state_names`, moved in place.
            lr: learning rate of this step.
            step: counted from 1.
        """


@dataclass(frozen=True, kw_only=True)
class SgdRule:
    """torch.optim.SGD: v <- momentum v + (g + decay w), w <- w - lr v."""

    lr: float
    momentum: float = 0.9
    """In [0, 1)."""
    weight_decay: float = 5e-4
    nesterov: bool = False

    @property
    def state_names(self) -> tuple[str, ...]:
        """The velocity, if there is momentum."""
        return ("momentum_buffer",) if self.momentum else ()

    def move_(self, rows: Tensor, gradient: Tensor, state: Mapping[str, Tensor], *, lr: float, step: int) -> None:
        """Move `rows` in place by one step of SGD."""
        if self.weight_decay:
            gradient.add_(rows, alpha=self.weight_decay)
        if self.momentum:
            velocity = state["momentum_buffer"].mul_(self.momentum).add_(gradient)
            gradient = gradient.add_(velocity, alpha=self.momentum) if self.nesterov else velocity
        rows.add_(gradient, alpha=-lr)


@dataclass(frozen=True, kw_only=True)
class AdamWRule:
    """torch.optim.AdamW; bias is corrected by the number of steps of the head, whichever rows a step moved."""

    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.1

    @property
    def state_names(self) -> tuple[str, ...]:
        """The running means of gradients and of their squares."""
        return ("exp_avg", "exp_avg_sq")

    def move_(self, rows: Tensor, gradient: Tensor, state: Mapping[str, Tensor], *, lr: float, step: int) -> None:
        """Move `rows` in place by one step of AdamW."""
        first, second = self.betas
        rows.mul_(1.0 - lr * self.weight_decay)
        mean = state["exp_avg"].lerp_(gradient, 1.0 - first)
        square = state["exp_avg_sq"].mul_(second).addcmul_(gradient, gradient, value=1.0 - second)
        root = gradient.copy_(square).sqrt_().div_(math.sqrt(1.0 - second**step)).add_(self.eps)
        rows.addcdiv_(mean, root, value=-lr / (1.0 - first**step))
