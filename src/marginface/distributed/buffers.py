"""Buffers of a module that runs on many ranks, or runs twice: running statistics above all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import torch.distributed as dist
from torch import Tensor, nn


def share_from_first(tensors: Iterable[Tensor]) -> None:
    """Overwrite every rank's tensors by the first rank's."""
    if dist.is_initialized():
        for tensor in tensors:
            dist.broadcast(tensor, src=0)


@contextlib.contextmanager
def on_copies_of_buffers(module: nn.Module) -> Iterator[None]:
    """Let what runs inside move copies of the module's buffers; the true ones come back as they were."""
    true = [(part, name, buffer) for part in module.modules() for name, buffer in part.named_buffers(recurse=False)]
    for part, name, buffer in true:
        setattr(part, name, buffer.clone())
    try:
        yield
    finally:
        for part, name, buffer in true:
            setattr(part, name, buffer)
