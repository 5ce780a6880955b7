"""Joining the ranks that torchrun started; one rank without a launcher is always a valid run."""

from __future__ import annotations

import contextlib
import datetime
import os
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from marginface.errors import WorkError

LONGEST_WAIT = datetime.timedelta(minutes=30)
"""Of ranks for each other: the first alone computes an evaluation's intervals. A rank that dies is noticed at once, by
its closed connections or by torchrun; only a node that vanishes is noticed by waiting."""

_WORDS_OF_A_LOST_RANK = (
    "connection closed",
    "connection reset",
    "connection was likely closed",
    "connection refused",
    "broken pipe",
    "remote process exited",
    "socket closed",
    "timed out waiting",
    "collective operation timeout",
    "ncclremoteerror",
)


@dataclass(frozen=True)
class Ranks:
    """Where this process stands among all that work together."""

    rank: int
    world_size: int
    device: torch.device
    mesh: DeviceMesh | None = None
    """All ranks in one line, for sharded tensors; None where there is one rank."""

    @property
    def is_first(self) -> bool:
        """Rank 0 writes the log, the checkpoints' names and the models."""
        return self.rank == 0


def default_device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextlib.contextmanager
def joined_ranks(device: torch.device) -> Iterator[Ranks]:
    """Join the process group that torchrun's environment describes, and leave it at the end.

    Without torchrun's RANK and WORLD_SIZE this is one rank and no process group is made. `device` "cuda" becomes this
    rank's own GPU (LOCAL_RANK).

    Raises:
        WorkError: another rank ended while this one worked with it.
    """
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        yield Ranks(0, 1, device)
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=LONGEST_WAIT)
    # torch 2.13 has new names for collectives, which older ones do not know
    warnings.filterwarnings("ignore", message=".*torch.distributed.*is deprecated", category=FutureWarning)
    rank, world_size = dist.get_rank(), dist.get_world_size()
    try:
        mesh = init_device_mesh(device.type, (world_size,), mesh_dim_names=("ranks",)) if world_size > 1 else None
        yield Ranks(rank, world_size, device, mesh)
    except RuntimeError as error:
        if not is_lost_rank(error):
            raise
        raise WorkError(
            f"rank {rank} of {world_size} stopped because another rank ended (it was killed, ran out of memory, or "
            f"says why itself). The last checkpoint is intact; start again with --resume."
        ) from error
    finally:
        # Gloo's threads need the interpreter to let go of the last collective's tensors. Without this pause the group
        # may be torn down before they got it, and wait for them with the interpreter's lock held for ever (torch 2.13).
        time.sleep(0.1)
        dist.destroy_process_group()


def is_lost_rank(error: BaseException) -> bool:
    """Return whether torch's words say that another rank has gone; it has no type of its own for that."""
    return any(words in str(error).lower() for words in _WORDS_OF_A_LOST_RANK)
