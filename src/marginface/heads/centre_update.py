"""Class centres that move inside the backward pass, so that their gradient never exists as a whole.

A chunk's gradient lives in scratch memory until the rule (SGD, AdamW) has moved the chunk. What stays is the rule's
state. For accumulation `hold` is set on all parts of a batch but the last: gradients are then kept and added up, for
which a dense head needs memory of the centres' size, a sampled one that of the rows it drew.

What the optimiser sees of the head is nothing: no gradient to clip, to scale or to look at.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from marginface.optim import CentreRule


class CentreUpdate(nn.Module):
    """A rule at work on one head's centres. Its state is in buffers of the centres' shape and sharding.

    Attributes:
        lr: learning rate of the next step; a training loop sets it.
        grad_scale: what the loss was multiplied by before backward (fp16's scaler); gradients are divided by it.
        hold: keep gradients instead of moving, until a backward pass without it.
        num_steps: (), how often the centres have moved.
    """

    num_steps: Tensor

    def __init__(self, rule: CentreRule, centres: nn.Parameter) -> None:
        super().__init__()
        self.rule = rule
        self.lr = rule.lr
        self.grad_scale = 1.0
        self.hold = False
        for name in rule.state_names:
            self.register_buffer(name, torch.zeros_like(centres.detach()))
        self.register_buffer("num_steps", torch.zeros((), dtype=torch.int64))
        self._held_all: Tensor | None = None
        self._held_rows: list[tuple[Tensor, Tensor]] = []

    def take(self, centres: Tensor, classes: slice, gradient: Tensor) -> None:
        """Use the gradient of consecutive classes.

        Args:
            centres: all centres of this rank, moved in place.
            classes: which.
            gradient: theirs, overwritten.
        """
        self._unscale(gradient)
        if self.hold and self._held_all is None:
            self._held_all = torch.zeros_like(centres)
        if self._held_all is not None:
            held = self._held_all[classes]
            if self.hold:
                held.add_(gradient)
                return
            gradient.add_(held)
        state = {name: tensor[classes] for name, tensor in self._state().items()}
        self.rule.move_(centres[classes], gradient, state, lr=self.lr, step=self._step())

    def take_rows(self, centres: Tensor, classes: Tensor, gradient: Tensor, *, values: Tensor) -> None:
        """Use the gradient of some classes.

        Args:
            centres: all centres of this rank, moved in place.
            classes: which, (n,), each once.
            gradient: theirs, overwritten.
            values: a copy of those centres, overwritten.
        """
        self._unscale(gradient)
        if self.hold or self._held_rows:
            self._held_rows.append((classes, gradient.clone()))
            return
        self._move_rows(centres, classes, gradient, values)

    def finish(self, centres: Tensor) -> None:
        """End a backward pass: with gradients held of several parts, move the rows of all of them."""
        if self.hold:
            return
        if self._held_rows:
            classes, where = torch.cat([classes for classes, _ in self._held_rows]).unique(return_inverse=True)
            gradient = centres.new_zeros(len(classes), *centres.shape[1:])
            gradient.index_add_(0, where, torch.cat([part for _, part in self._held_rows]))
            self._held_rows = []
            self._move_rows(centres, classes, gradient, centres[classes])
        self._held_all = None
        self.num_steps += 1

    def release(self, centres: Tensor) -> None:
        """End a batch whose last part has nothing for this head: move by what was held of the others, if anything."""
        if self.hold:
            return
        if self._held_all is not None:
            self.rule.move_(centres, self._held_all, self._state(), lr=self.lr, step=self._step())
        if self._held_all is not None or self._held_rows:
            self.finish(centres)

    def extra_repr(self) -> str:
        """Return the settings for printing."""
        return str(self.rule)

    def _move_rows(self, centres: Tensor, classes: Tensor, gradient: Tensor, values: Tensor) -> None:
        whole = self._state()
        state = {name: tensor.index_select(0, classes) for name, tensor in whole.items()}
        self.rule.move_(values, gradient, state, lr=self.lr, step=self._step())
        centres.index_copy_(0, classes, values)
        for name, tensor in whole.items():
            tensor.index_copy_(0, classes, state[name])

    def _state(self) -> dict[str, Tensor]:
        """Return this rank's part of the rule's tensors."""
        tensors = {name: self.get_buffer(name) for name in self.rule.state_names}
        return {name: t.to_local() if isinstance(t, DTensor) else t for name, t in tensors.items()}

    def _step(self) -> int:
        return int(self.num_steps) + 1

    def _unscale(self, gradient: Tensor) -> None:
        if self.grad_scale != 1.0:
            gradient.div_(self.grad_scale)
