"""One optimiser step: the global batch in, gradients summed over parts and ranks, weights moved once."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from marginface.distributed import sum_gradients, sum_over_ranks
from marginface.errors import WorkError
from marginface.images.normalize import normalize
from marginface.loading.dataset import FaceBatch
from marginface.optim import clip_gradients
from marginface.training.build import TrainingRun
from marginface.training.parallel import gradients_leave
from marginface.training.precision import autocast
from marginface.training.progress import SourceSums


@dataclass(frozen=True)
class StepNumbers:
    """What one step says of itself, over the global batch."""

    images: int
    loss: float
    norm: float
    """Sum of the embeddings' lengths."""
    target_cos: float
    """Sum of the cosines to the true class, before the margin."""
    grad_norm: float
    broken: int
    sources: dict[str, SourceSums]
    """By the name of the source, where each has a head of its own."""


def learning_rate(run: TrainingRun, step: int) -> float:
    """Return the base learning rate of `step` (0-based): a pure function of the step."""
    return run.config.learning_rate(step, total_steps=run.total_steps, steps_per_epoch=run.batches.steps_per_epoch)


def seed_dropout(run: TrainingRun, step: int) -> None:
    """Give dropout an address, (seed, step, rank), so that a resumed run draws what an unbroken one would have."""
    address = np.random.SeedSequence([run.config.seed, step, run.ranks.rank]).generate_state(1, np.uint64)
    torch.manual_seed(int(address[0] >> np.uint64(1)))


def train_step(run: TrainingRun, batch: FaceBatch, step: int, *, keep_bad_batch_in: Path) -> StepNumbers:
    """Run step `step` (0-based) on this rank's share of the global batch.

    Raises:
        WorkError: the loss or a gradient is not finite; the batch is kept on disk, and the weights are as before (only
            a head that moves its centres itself has done so already).
    """
    seed_dropout(run, step)
    _set_rates(run, step)
    run.optimizer.zero_grad(set_to_none=True)

    device = run.ranks.device
    images, labels = batch.images.to(device, non_blocking=True), batch.labels.to(device, non_blocking=True)
    shares, num_broken = _shares(run, batch)
    num_global = sum(shares)
    if min(shares) == 0:
        rank = shares.index(0)
        raise WorkError(f"step {step + 1}: every image of rank {rank} is broken; {'; '.join(batch.broken[:3])}")
    sums = torch.zeros(len(run.task.heads), 4, dtype=torch.float64, device=device)
    parts = _parts(len(labels), min(run.config.accumulation_steps, *shares))  # as many on every rank: they meet in each
    try:
        for i, part in enumerate(parts):
            is_last = i == len(parts) - 1
            for update in run.centre_updates:
                update.hold = not is_last
            with gradients_leave(run.forward_backbone, now=is_last):
                sums += _backward(run, images[part], labels[part], num_global)
    except WorkError as error:  # the head met an embedding that is not finite
        raise _not_finite(run, batch, step, "embedding", keep_bad_batch_in) from error
    for own in run.task.heads:
        sum_gradients(own.head.copied_parameters())
    of_heads = [HeadSums(*row) for row in sum_over_ranks(sums).tolist()]
    loss = sum(of_head.loss for of_head in of_heads) / num_global
    if not math.isfinite(loss):
        raise _not_finite(run, batch, step, "loss", keep_bad_batch_in)

    run.scaler.unscale_(run.optimizer)
    grad_norm = float(clip_gradients(run.task.parameters(), run.config.clip_norm))
    if (
        not math.isfinite(grad_norm) and not run.scaler.is_enabled()
    ):  # with fp16 the scaler skips such a step and shrinks
        raise _not_finite(run, batch, step, "gradient", keep_bad_batch_in)
    run.scaler.step(run.optimizer)
    run.scaler.update()
    if run.ema:
        run.ema.update(run.task.backbone, step)
    return StepNumbers(
        images=num_global,
        loss=loss,
        norm=sum(of_head.norm for of_head in of_heads),
        target_cos=sum(of_head.target_cos for of_head in of_heads),
        grad_norm=grad_norm,
        broken=num_broken,
        sources={
            own.name: SourceSums(int(of_head.images), of_head.loss, of_head.target_cos)
            for own, of_head in zip(run.task.heads, of_heads, strict=True)
            if own.name
        },
    )


def embed(run: TrainingRun, images: Tensor) -> Tensor:
    """Return (B, D) embeddings of (B, S, S, 3) uint8 images, in the precision of the recipe."""
    config = run.config.precision
    pixels = normalize(images, run.contract, channels_last=config.channels_last)
    with autocast(config, run.ranks.device):
        embeddings: Tensor = run.forward_backbone(pixels)
    return embeddings


class HeadSums(NamedTuple):
    """Sums over the images of one head."""

    loss: float
    norm: float
    target_cos: float
    images: float


def _backward(run: TrainingRun, images: Tensor, labels: Tensor, num_global: int) -> Tensor:
    """Add the gradients of a part of the batch; return the `HeadSums` of this rank, a row for each head."""
    embeddings = embed(run, images)
    output = run.task.loss(embeddings, labels)
    # The head's mean is over this part, of this rank or of all; the shares add up to the mean of the global batch.
    share = output.loss * (output.num_rows / num_global)
    loss_B = output.sample_loss_B.double()
    if run.teacher is not None:
        drift_B = _drift(run, images, embeddings)
        share, loss_B = share + drift_B.sum() / num_global, loss_B + drift_B.detach().double()
    run.scaler.scale(share).backward()
    numbers_B4 = torch.stack([loss_B, output.norm_B.double(), output.target_cos_B.double(), torch.ones_like(loss_B)], 1)
    return torch.stack([numbers_B4[part.rows_of(labels)].sum(dim=0) for part in run.task.heads])


def _drift(run: TrainingRun, images: Tensor, embeddings: Tensor) -> Tensor:
    """Return the recipe's distillation times (1 - cosine to the starting model's embedding) of each image, (B,)."""
    assert run.teacher is not None
    assert run.config.start is not None
    with torch.no_grad(), autocast(run.config.precision, run.ranks.device):
        before = run.teacher(normalize(images, run.contract, channels_last=True))
    cos_B = torch.nn.functional.cosine_similarity(embeddings.float(), before.float())
    return run.config.start.distillation * (1.0 - cos_B)


def _set_rates(run: TrainingRun, step: int) -> None:
    """Write all learning rates anew, so that a resumed run cannot drift."""
    rate = learning_rate(run, step)
    for group in run.optimizer.param_groups:
        group["lr"] = rate * group["lr_factor"]
    for update in run.centre_updates:
        update.lr = rate * run.config.optim.head_lr_factor
        update.grad_scale = run.scaler.get_scale()


def _shares(run: TrainingRun, batch: FaceBatch) -> tuple[list[int], int]:
    """Return how many images each rank has in this step, and how many were broken on all of them."""
    counts = torch.zeros(run.ranks.world_size + 1, dtype=torch.float64, device=run.ranks.device)
    counts[run.ranks.rank], counts[-1] = len(batch), len(batch.broken)
    *shares, broken = (int(count) for count in sum_over_ranks(counts).tolist())
    return shares, broken


def _parts(num_images: int, num_parts: int) -> list[slice]:
    edges = np.linspace(0, num_images, num_parts + 1).round().astype(int)
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(edges)]


def _not_finite(run: TrainingRun, batch: FaceBatch, step: int, what: str, folder: Path) -> WorkError:
    bad = [
        group["name"]
        for group in run.optimizer.param_groups
        if any(not _local(p.grad).isfinite().all() for p in group["params"] if p.grad is not None)
    ]
    keys = [run.dataset.records.keys[i] for i in batch.indices.tolist()]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"not-finite-step-{step + 1:08d}-rank{run.ranks.rank}.pt"
    torch.save({"images": batch.images, "labels": batch.labels, "keys": keys, "step": step}, file)
    where = f" (gradients not finite in {', '.join(bad)})" if bad else ""
    return WorkError(
        f"step {step + 1}: the {what} is not finite{where}; the batch is kept in {file}. Lower optim.lr or set "
        f"clip_norm and start anew; the last checkpoint is intact."
    )


def _local(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
