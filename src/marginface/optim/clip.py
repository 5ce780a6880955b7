"""Gradient clipping by the norm of all gradients together, those that ranks hold parts of included."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from marginface.distributed import sum_over_ranks


def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float | None) -> Tensor:
    """Return the Euclidean norm of all gradients together, as it was before they were scaled down to `max_norm`.

    Plain gradients are the same on all ranks and count once. DTensors are cut over all ranks, each holding its rows;
    where there are any, all ranks call together.

    Args:
        parameters: those without a gradient are passed over.
        max_norm: None only measures. A norm that is not finite leaves gradients that are not finite either: the caller
            looks at the returned norm, or its scaler has already noted to skip the step.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    plain = [g for g in gradients if not isinstance(g, DTensor)]
    shards = [g.to_local() for g in gradients if isinstance(g, DTensor)]
    norm = torch.nn.utils.get_total_norm(plain)
    if shards:
        squares = sum_over_ranks(torch.nn.utils.get_total_norm(shards).double().square())
        norm = (norm.to(squares).square() + squares).sqrt().to(shards[0].dtype)
    if max_norm is not None:
        if max_norm <= 0.0:
            raise ValueError(f"max_norm is {max_norm}; it must be above 0, or None to leave gradients as they are.")
        factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
        for some in filter(None, (plain, shards)):
            torch._foreach_mul_(some, factor.to(some[0]))
    return norm
