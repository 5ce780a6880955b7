"""Run a function on several gloo ranks, each a process of its own, and collect what each returns."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import socket
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def run_on_ranks(function: Callable[..., Any], world_size: int, *args: Any) -> list[Any]:
    """Return what `function(*args)` returns on each rank; it must stand at the top of a module.

    Ranks find the process group initialised. The first exception of any rank is raised here with its traceback.
    """
    with tempfile.TemporaryDirectory() as folder:
        # Ranks are forked from a server that has imported torch, which would else cost each of them 4 seconds.
        multiprocessing.set_forkserver_preload(["marginface.heads", "torch._dynamo", "torch.distributed.checkpoint"])
        arguments = (world_size, _free_port(), Path(folder), function, args)
        mp.start_processes(_one_rank, arguments, nprocs=world_size, start_method="forkserver")
        results = [pickle.loads((Path(folder) / str(rank)).read_bytes()) for rank in range(world_size)]
    for rank, (_, error) in enumerate(results):
        if error is not None:
            raise AssertionError(f"rank {rank}:\n{error}")
    return [value for value, _ in results]


def _one_rank(rank: int, world_size: int, port: int, folder: Path, function: Callable[..., Any], args: Any) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE=str(world_size))
    dist.init_process_group("gloo", rank=rank, world_size=world_size)
    value, error = None, None
    try:
        value = function(*args)
    except Exception:
        error = traceback.format_exc()
    (folder / str(rank)).write_bytes(pickle.dumps((value, error)))
    if error is None:
        time.sleep(0.1)  # as in `joined_ranks`, and for the same reason
        dist.destroy_process_group()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
