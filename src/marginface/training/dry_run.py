"""`train --dry-run`: what a run would be, without a step of it."""

from __future__ import annotations

import torch

from marginface.distributed import Ranks, default_device
from marginface.loading.sampler import ShuffledBatches
from marginface.models import count_parameters, estimate_step, head_size, measure_backbone
from marginface.training.config import TrainConfig
from marginface.training.precision import refuse_slow_precision
from marginface.training.step import learning_rate
from marginface.training.train import prepare


def describe_run(config: TrainConfig, *, num_ranks: int = 1) -> str:
    """Return the number of classes, images, parameters and steps, and what each of `num_ranks` ranks holds and sends.

    Raises:
        InputError: the recipe or the data cannot be used; a dry run refuses what a run would.
    """
    device = default_device()
    refuse_slow_precision(config.precision, device)
    run = prepare(config, Ranks(0, 1, torch.device("cpu")))
    ShuffledBatches(  # refuses a batch that so many ranks cannot share
        len(run.dataset.records),
        global_batch_size=config.data.batch_size,
        seed=config.seed,
        world_size=num_ranks,
    )
    at_a_time = images_at_a_time(config, num_ranks)
    estimate = estimate_step(
        measure_backbone(
            config.backbone.build(input_size=config.data.input_size),
            input_size=config.data.input_size,
            images_at_a_time=at_a_time,
            half_precision=config.precision.dtype != "fp32",
            recompute_blocks=config.activation_checkpointing,
        ),
        head_size(config.head, num_classes=run.num_classes, embedding_dim=config.backbone.embedding_dim),
        images_at_a_time=at_a_time,
        num_ranks=num_ranks,
        parts=config.accumulation_steps,
        fsdp=config.distributed.backbone == "fsdp",
        state_tensors=config.optim.state_tensors_per_parameter,
        half_precision=config.precision.dtype != "fp32",
    )
    per_epoch, total = run.batches.steps_per_epoch, run.total_steps
    peak = max(learning_rate(run, step) for step in range(0, total, max(1, total // 200)))
    rows = [
        ("data", f"{len(run.dataset.records):,} images of {run.num_classes:,} people, {run.dataset.records.location}"),
        ("device", str(device)),
        ("backbone", f"{count_parameters(run.task.backbone):,} parameters"),
        ("head", f"{count_parameters(run.task.head):,} parameters ({run.num_classes:,} class centres)"),
        ("steps", f"{total:,}: {config.epochs:g} epochs of {per_epoch:,} steps of {config.data.batch_size} images"),
        (
            "learning rate",
            f"{learning_rate(run, 0):.3g} at first, {peak:.3g} at most, {learning_rate(run, total - 1):.3g} last",
        ),
        ("memory", f"about {_bytes(estimate.total_memory)} above the process's own, on each of {num_ranks} rank(s)"),
        *((f"  {name}", _bytes(size)) for name, size in estimate.memory.items() if size),
    ]
    if num_ranks > 1:
        rows.append(("sent", f"about {_bytes(estimate.total_sent)} a step by each rank, and as much received"))
        rows += [(f"  {c.name}", f"{_bytes(c.sent(num_ranks))} ({c.operation})") for c in estimate.collectives]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in rows)


def images_at_a_time(config: TrainConfig, num_ranks: int) -> int:
    """Return how many images go through a rank's backbone at a time."""
    return -(-config.data.batch_size // (config.accumulation_steps * num_ranks))


def _bytes(number: int) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return f"{number / 2**10:.1f} KiB"
