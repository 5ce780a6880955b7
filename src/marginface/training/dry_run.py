"""`train --dry-run`: what a run would be, without a step of it."""

from __future__ import annotations

from marginface.distributed import default_device
from marginface.models import count_parameters, estimate_step, head_size, measure_backbone
from marginface.training.config import TrainConfig
from marginface.training.parallel import refuse_what_does_not_fit
from marginface.training.precision import refuse_slow_precision
from marginface.training.train import open_training_records


def describe_run(config: TrainConfig, *, num_ranks: int = 1) -> str:
    """Return the number of classes, images, parameters and steps, and what each of `num_ranks` ranks holds and sends.

    Raises:
        InputError: the recipe or the data cannot be used; a dry run refuses what a run would.
    """
    device = default_device()
    refuse_slow_precision(config.precision, device)
    records = open_training_records(config, world_size=num_ranks)
    batches = config.data.sampler.build(
        records, global_batch_size=config.data.batch_size, seed=config.seed, world_size=num_ranks
    )
    classes, dim = len(records.identities), config.backbone.embedding_dim
    backbone = config.backbone.build(input_size=config.data.input_size)
    refuse_what_does_not_fit(backbone, config, device)
    # Of the head a small one is built, which refuses what the real one would: that may be too large for this machine.
    config.head.build(num_classes=min(classes, 1000), embedding_dim=dim)
    head = head_size(config.head, num_classes=classes, embedding_dim=dim)
    at_a_time = images_at_a_time(config, num_ranks)
    estimate = estimate_step(
        measure_backbone(
            backbone,
            input_size=config.data.input_size,
            images_at_a_time=at_a_time,
            half_precision=config.precision.dtype != "fp32",
            recompute_blocks=config.activation_checkpointing,
        ),
        head,
        images_at_a_time=at_a_time,
        num_ranks=num_ranks,
        parts=config.accumulation_steps,
        fsdp=config.distributed.backbone == "fsdp",
        state_tensors=config.optim.state_tensors_per_parameter,
    )
    per_epoch = batches.steps_per_epoch
    total = config.total_steps(per_epoch)
    rates = [
        config.learning_rate(step, total_steps=total, steps_per_epoch=per_epoch)
        for step in (*range(0, total, max(1, total // 200)), total - 1)
    ]
    rows = [
        ("data", f"{len(records):,} images of {classes:,} people, {records.location}"),
        ("device", str(device)),
        ("backbone", f"{count_parameters(backbone):,} parameters"),
        ("head", f"{classes * head.sub_centres * dim:,} parameters ({classes:,} classes)"),
        ("steps", f"{total:,}: {config.epochs:g} epochs of {per_epoch:,} steps of {config.data.batch_size} images"),
        ("learning rate", f"{rates[0]:.3g} at first, {max(rates):.3g} at most, {rates[-1]:.3g} last"),
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
