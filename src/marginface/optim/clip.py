"""Gradient clipping by the norm of all gradients together."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float | None) -> Tensor:
    """Return the Euclidean norm of all gradients together, as it was before they were scaled down to `max_norm`.

    Args:
        parameters: those without a gradient are passed over.
        max_norm: None only measures. A norm that is not finite leaves gradients that are not finite either: the caller
            looks at the returned norm, or its scaler has already noted to skip the step.
    """
    with_gradient = [p for p in parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm([p.grad for p in with_gradient if p.grad is not None])
    if max_norm is not None:
        if max_norm <= 0.0:
            raise ValueError(f"max_norm is {max_norm}; it must be above 0, or None to leave gradients as they are.")
        torch.nn.utils.clip_grads_with_norm_(with_gradient, max_norm, norm)
    return norm
