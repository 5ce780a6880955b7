"""`train --dry-run`: what a run would be, without a step of it."""

from __future__ import annotations

from collections import Counter

import numpy as np

from marginface.distributed import default_device
from marginface.loading.sampler import Batches
from marginface.models import count_parameters, estimate_step, head_size, measure_backbone
from marginface.records.joined import JoinedRecords
from marginface.records.record import RecordSource
from marginface.training.config import TrainConfig
from marginface.training.parallel import refuse_what_does_not_fit
from marginface.training.precision import refuse_slow_precision
from marginface.training.sources import plan_heads
from marginface.training.train import open_training_records

COUNTED_IMAGES = 4096


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
    plans, dim = plan_heads(config, records), config.backbone.embedding_dim
    classes = [len(plan.records.identities) for plan in plans]
    backbone = config.backbone.build(input_size=config.data.input_size)
    refuse_what_does_not_fit(backbone, config, device)
    # Of the head a small one is built, which refuses what the real one would: that may be too large for this machine.
    config.head.build(num_classes=min(*classes, 1000), embedding_dim=dim)
    shares = _shares(batches, records) if config.head_per_source else [1.0]
    heads = [
        head_size(config.head, num_classes=num, embedding_dim=dim, share=share)
        for num, share in zip(classes, shares, strict=True)
    ]
    at_a_time = images_at_a_time(config, num_ranks)
    estimate = estimate_step(
        measure_backbone(
            backbone,
            input_size=config.data.input_size,
            images_at_a_time=at_a_time,
            half_precision=config.precision.dtype != "fp32",
            recompute_blocks=config.activation_checkpointing,
        ),
        *heads,
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
        ("data", f"{len(records):,} images of {len(records.identities):,} people, {records.location}"),
        ("device", str(device)),
        ("backbone", f"{count_parameters(backbone):,} parameters"),
        *(
            (
                f"head {plan.name}".rstrip(),
                f"{head.num_classes * head.sub_centres * dim:,} parameters ({head.num_classes:,} classes)"
                + (f", about {head.share:.0%} of the images, {plan.records.location}" if plan.name else ""),
            )
            for plan, head in zip(plans, heads, strict=True)
        ),
        ("steps", f"{total:,}: {config.epochs:g} epochs of {per_epoch:,} steps of {config.data.batch_size} images"),
        ("learning rate", f"{rates[0]:.3g} at first, {max(rates):.3g} at most, {rates[-1]:.3g} last"),
        ("memory", f"about {_bytes(estimate.total_memory)} above the process's own, on each of {num_ranks} rank(s)"),
        *((f"  {name}", _bytes(size)) for name, size in estimate.memory.items() if size),
    ]
    if num_ranks > 1:
        rows.append(("sent", f"about {_bytes(estimate.total_sent)} a step by each rank, and as much received"))
        sent: Counter[tuple[str, str]] = Counter()
        for collective in estimate.collectives:
            sent[collective.name, collective.operation] += collective.sent(num_ranks)
        rows += [(f"  {name}", f"{_bytes(size)} ({operation})") for (name, operation), size in sent.items()]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in rows)


def _shares(batches: Batches, records: RecordSource) -> list[float]:
    """Return how much of a batch is of each source, by the first few thousand images, whatever the sampler."""
    assert isinstance(records, JoinedRecords)
    size = batches.global_batch_size
    steps = range(min(batches.steps_per_epoch, -(-COUNTED_IMAGES // size)))
    indices = [address.index for step in steps for address in batches.addresses(step, 0, size)]
    counts = np.bincount(records.set_of(np.array(indices)), minlength=len(records.sources))
    return [float(share) for share in counts / counts.sum()]


def images_at_a_time(config: TrainConfig, num_ranks: int) -> int:
    """Return how many images go through a rank's backbone at a time."""
    return -(-config.data.batch_size // (config.accumulation_steps * num_ranks))


def _bytes(number: int) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return f"{number / 2**10:.1f} KiB"
