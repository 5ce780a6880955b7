"""`train --dry-run`: what a run would be, without a step of it."""

from __future__ import annotations

import torch

from marginface.distributed import Ranks, default_device
from marginface.models import count_parameters, estimate_training_memory
from marginface.training.config import TrainConfig
from marginface.training.precision import refuse_slow_precision
from marginface.training.step import learning_rate
from marginface.training.train import prepare


def describe_run(config: TrainConfig) -> str:
    """Return the number of classes, images, parameters and steps, and an estimate of memory, for one rank.

    Raises:
        InputError: the recipe or the data cannot be used; a dry run refuses what a run would.
    """
    device = default_device()
    refuse_slow_precision(config.precision, device)
    run = prepare(config, Ranks(0, 1, torch.device("cpu")))
    memory = estimate_training_memory(
        run.task.backbone,
        input_size=config.data.input_size,
        batch_size=-(-config.data.batch_size // config.accumulation_steps),
        num_classes=run.num_classes,
        embedding_dim=config.backbone.embedding_dim,
        state_tensors_per_parameter=config.optim.state_tensors_per_parameter,
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
        ("memory", f"about {_bytes(memory.total)} above the process's own, on one rank"),
        ("  weights, gradients", f"{_bytes(memory.backbone_weights + memory.backbone_gradients)} (backbone)"),
        ("  optimiser", f"{_bytes(memory.backbone_optimizer)} (backbone)"),
        ("  activations", f"{_bytes(memory.activations)}"),
        ("  head", f"{_bytes(memory.head)} with its gradient and optimiser state"),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in rows)


def _bytes(number: int) -> str:
    return f"{number / 2**30:.2f} GiB" if number >= 2**30 else f"{number / 2**20:.1f} MiB"
