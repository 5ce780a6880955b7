"""Small training runs for tests: a recipe that takes seconds, and the command line as a user has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from marginface.training.log import CLOCK_FIELDS, read_events


def tiny_recipe(source: str, **changes: Any) -> dict[str, Any]:
    """Return a recipe for 32-pixel images: 6 images a step, a few steps an epoch."""
    recipe: dict[str, Any] = {
        "data": {"source": source, "input_size": 32, "batch_size": 6, "num_workers": 0},
        "backbone": {"kind": "mobilefacenet", "embedding_dim": 16},
        "head": {"kind": "dense", "scale": 16, "margin": {"kind": "arcface", "margin": 0.2}},
        "optim": {"kind": "sgd", "lr": 0.05},
        "schedule": {"kind": "polynomial", "warmup_epochs": 0.5},
        "epochs": 3,
        "seed": 5,
        "log": {"every_steps": 1},
        "checkpoint": {"every_epochs": 0.5, "keep": 2},
    }
    return recipe | changes


def write_recipe(path: Path, recipe: dict[str, Any]) -> Path:
    """Write a recipe as YAML and return its path."""
    path.write_text(yaml.safe_dump(recipe))
    return path


def start_marginface(*words: str | Path, torchrun: int | None = None, **environment: str) -> subprocess.Popen[str]:
    """Start the command line in a process of its own; with `torchrun`, on that many gloo ranks."""
    command = [sys.executable, "-m", "marginface"]
    if torchrun:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={torchrun}", "-m"]
        command.append("marginface")
    return subprocess.Popen(
        [*command, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "120"} | environment,
    )


def marginface(
    *words: str | Path, torchrun: int | None = None, timeout: float = 240
) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end and return exit code and output."""
    process = start_marginface(*words, torchrun=torchrun)
    out, err = process.communicate(timeout=timeout)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def log_without_clock(run: Path) -> list[str]:
    """Return the lines of a run's log without the fields that depend on the clock: these repeat bit by bit."""
    events = read_events(run / "log.jsonl")
    return [json.dumps({k: v for k, v in e.items() if k not in CLOCK_FIELDS}, sort_keys=True) for e in events]
