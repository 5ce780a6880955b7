"""An exponential moving average of a network's weights: often better than the last weights, never trained itself."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from marginface.errors import InputError

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class EmaConfig:
    """How the average forgets."""

    decay: float = 0.9999
    """Share of the old average kept at each step; 0.9999 looks back over about 10,000 steps."""
    warm_up: bool = True
    """Keep only (1 + step) / (10 + step) while that is less, so that the random start is forgotten soon."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.decay < 1.0:
            raise ValueError(f"decay is {self.decay}; it must be in [0, 1).")

    def decay_at(self, step: int) -> float:
        """Return the share of the old average kept at `step`, counted from 0."""
        return min(self.decay, (1 + step) / (10 + step)) if self.warm_up else self.decay

    def build(self, module: nn.Module) -> Ema:
        """Return an average that starts at the weights of `module`."""
        return Ema(self, module)


class Ema:
    """The average of the parameters and floating buffers of one module; whole-number buffers are copied.

    Kept in fp32 at least, on the module's device: in half precision a step of 1e-4 would round away.
    """

    def __init__(self, config: EmaConfig, module: nn.Module) -> None:
        self.config = config
        self._average = {name: _at_least_fp32(t.detach().clone()) for name, t in _tensors(module).items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Move the average towards the weights of `module` after optimiser step `step`, counted from 0."""
        share = 1.0 - self.config.decay_at(step)
        for name, tensor in _tensors(module).items():
            average = self._average[name]
            if average.is_floating_point():
                average.lerp_(tensor.to(average.dtype), share)
            else:
                average.copy_(tensor)

    def averaged(self, module: M) -> M:
        """Return a copy of `module` with the averaged weights; `module` itself goes on training untouched."""
        copied = copy.deepcopy(module)
        _copy(self._average, _tensors(copied))
        return copied

    def state_dict(self) -> dict[str, Tensor]:
        """Return the average by the module's own names, without copying."""
        return dict(self._average)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over an average.

        Raises:
            InputError: it belongs to another network.
        """
        ours, theirs = ({name: tuple(t.shape) for name, t in tensors.items()} for tensors in (self._average, state))
        differing = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
        if differing:
            raise InputError(
                f"the averaged weights belong to another network ({differing[0]} differs); resume with the same recipe."
            )
        _copy(state, self._average)


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _at_least_fp32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


@torch.no_grad()
def _copy(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    for name, tensor in target.items():
        tensor.copy_(source[name])
