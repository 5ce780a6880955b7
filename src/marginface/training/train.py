"""`train`: the whole of a run, from a recipe's config to a finished run folder."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
from pathlib import Path

import torch

from marginface.distributed import Ranks, default_device, joined_ranks, together
from marginface.errors import InputError
from marginface.records.record import RecordSource
from marginface.records.select import require_trainable
from marginface.training.build import TrainingRun, build_run
from marginface.training.config import TrainConfig
from marginface.training.loop import run_training
from marginface.training.precision import refuse_slow_precision
from marginface.training.run_folder import RunFolder, open_existing, open_new, write_json
from marginface.training.sources import plan_heads
from marginface.training.step import learning_rate
from marginface.training.warm_start import refuse_warm_start


def train(config: TrainConfig, out: str | Path, *, resume: bool = False, command: str = "", name: str = "") -> int:
    """Train `config` into the run folder `out`; return the exit code (0, or 128 + the signal that stopped it).

    The model is called `name`, or as the folder is. Under torchrun this joins the other ranks; without it one trains.

    Raises:
        InputError: the recipe, the data or the run folder cannot be used.
        WorkError: the work failed half-way (disk full, loss not finite).
    """
    with joined_ranks(default_device()) as ranks:
        refuse_slow_precision(config.precision, ranks.device)
        run = prepare(config, ranks, name=name or Path(out).name, command=command)
        folder = _open_folder(Path(out), config, ranks, resume=resume)
        if ranks.is_first and not folder.provenance.exists():
            write_json(folder.provenance, provenance(run, command))
        return run_training(run, folder, resume=resume)


def prepare(config: TrainConfig, ranks: Ranks, *, name: str = "unnamed", command: str = "") -> TrainingRun:
    """Return the built run of `config`, with its data opened and checked."""
    records = open_training_records(config, world_size=ranks.world_size)
    run = build_run(config, records, ranks, name=name, command=command)
    learning_rate(run, 0)  # a schedule that does not fit the number of epochs is refused here
    return run


def open_training_records(config: TrainConfig, *, world_size: int) -> RecordSource:
    """Return the records of `config`, after everything that can be checked without building a network."""
    records = config.data.open()
    require_trainable(records)
    plan_heads(config, records)
    share = config.data.batch_size / (world_size * config.accumulation_steps)
    if share < 2:
        raise InputError(
            f"data.batch_size {config.data.batch_size} over {world_size} ranks and {config.accumulation_steps} "
            f"accumulation steps leaves fewer than 2 images at a time, too few for batch normalisation."
        )
    refuse_warm_start(config)
    for evaluation in config.evaluations:  # a wrong path should show now, not after the first epoch
        evaluation.protocol.plan(evaluation.protocol.open(evaluation.data))
    return records


def provenance(run: TrainingRun, command: str) -> dict[str, object]:
    """Return what a reader needs to know where a run came from."""
    return {
        "command": command,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "marginface": importlib.metadata.version("marginface"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": str(run.ranks.device),
        "threads": torch.get_num_threads(),
        "world_size": run.ranks.world_size,
        "data": run.dataset.records.location,
        "num_images": len(run.dataset.records),
        "num_classes": run.num_classes,
        "data_fingerprint": run.data_fingerprint,
        "backbone_parameters": sum(p.numel() for p in run.task.backbone.parameters()),
        "head_parameters": sum(p.numel() for p in run.task.head.parameters()),
        "steps": run.total_steps,
    }


def _open_folder(out: Path, config: TrainConfig, ranks: Ranks, *, resume: bool) -> RunFolder:
    """The first rank makes or checks the folder; the others wait for its word and share its failure."""

    def open_it() -> RunFolder:
        if not ranks.is_first:
            return RunFolder(out)
        return open_existing(out, config) if resume else open_new(out, config)

    return together(open_it)
