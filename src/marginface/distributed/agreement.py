"""All ranks do the same: what goes wrong on one goes wrong on all, so that none waits for one that has given up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch.distributed as dist

from marginface.errors import InputError, WorkError

T = TypeVar("T")


def from_first(value: T) -> T:
    """Return the first rank's `value`, whatever the others have; all ranks call this together."""
    if not dist.is_initialized():
        return value
    carrier = [value]
    dist.broadcast_object_list(carrier, src=0)
    return carrier[0]


def together(work: Callable[[], T]) -> T:
    """Return `work()`, which each rank does by itself; all ranks call this together.

    Raises:
        InputError, WorkError, OSError: `work` raised it, on this rank or on another.
    """
    if not dist.is_initialized():
        return work()
    error: Exception | None = None
    try:
        result = work()
    except (InputError, WorkError, OSError) as raised:
        error = raised
    errors: list[Exception | None] = [None] * dist.get_world_size()
    dist.all_gather_object(errors, error)
    if error is not None:  # with its own traceback
        raise error
    for other in errors:
        if other is not None:
            raise other
    return result
