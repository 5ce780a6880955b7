"""Sums over ranks. The loss is divided once, by the global batch; afterwards all is summed and nothing divided."""

# No `from __future__ import annotations` here: DDP checks its hook's annotations as objects.

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn


def has_other_ranks() -> bool:
    """Return whether this process works together with others."""
    return dist.is_initialized() and dist.get_world_size() > 1


def sum_over_ranks(values: Tensor) -> Tensor:
    """Return the elementwise sum of `values` over all ranks; the tensor itself where there is one rank."""
    if not dist.is_initialized():
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total


def any_rank(flag: bool, device: torch.device) -> bool:
    """Return whether `flag` is set on at least one rank, the same answer on all of them."""
    if not dist.is_initialized():
        return flag
    return bool(sum_over_ranks(torch.tensor([float(flag)], device=device)).item())


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its sum over all ranks. A no-op with one rank."""
    if not dist.is_initialized():
        return
    for parameter in parameters:
        if parameter.grad is not None:
            dist.all_reduce(parameter.grad)


def sum_without_dividing(state: None, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:  # type: ignore[name-defined]
    """A DDP communication hook that sums gradients; DDP's own would divide by the number of ranks afterwards."""
    work = dist.all_reduce(bucket.buffer(), async_op=True)
    assert work is not None
    summed: torch.futures.Future[Tensor] = work.get_future().then(lambda future: future.value()[0])
    return summed
