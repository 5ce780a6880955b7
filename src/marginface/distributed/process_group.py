"""Joining the ranks that torchrun started; one rank without a launcher is always a valid run."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist

LONGEST_WAIT = datetime.timedelta(hours=2)
"""Of ranks for each other: the first evaluates for all. A rank that dies is noticed by torchrun, not by waiting."""


@dataclass(frozen=True)
class Ranks:
    """Where this process stands among all that train together."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Rank 0 writes the log, the checkpoints' names and the models."""
        return self.rank == 0


@contextlib.contextmanager
def joined_ranks(device: torch.device) -> Iterator[Ranks]:
    """Join the process group that torchrun's environment describes, and leave it at the end.

    Without torchrun's RANK and WORLD_SIZE this is one rank and no process group is made. `device` "cuda" becomes this
    rank's own GPU (LOCAL_RANK).
    """
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        yield Ranks(0, 1, device)
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=LONGEST_WAIT)
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), device)
    finally:
        dist.destroy_process_group()
