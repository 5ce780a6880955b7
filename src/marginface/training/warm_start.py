"""A first pass before the first step: margins that follow the norms (AdaFace) start from those of this backbone.

It sees the very batches that training will begin with, as training will see them: augmented, normalised by the batch,
with dropout. Running statistics and weights stay as they are.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from marginface.distributed import on_copies_of_buffers
from marginface.errors import InputError
from marginface.loading.loader import training_batches
from marginface.training.build import TrainingRun
from marginface.training.config import TrainConfig
from marginface.training.step import embed, seed_dropout


@runtime_checkable
class FollowsNorms(Protocol):
    """A margin whose statistics may start from a first pass."""

    def warm_start(self, norms: Tensor) -> None:
        """Take over the statistics of (N,) lengths of embeddings; every rank gives its own."""


def refuse_warm_start(config: TrainConfig) -> None:
    """Raise InputError where the recipe asks for a first pass and the margin has no use for it."""
    if config.norm_warm_start_images and not isinstance(config.head.margin.build(), FollowsNorms):
        raise InputError(
            f"norm_warm_start_images: {config.head.margin.kind} keeps no statistics of norms; set it to 0 (AdaFace "
            f"has a use for it)."
        )


@torch.no_grad()
def warm_start(run: TrainingRun) -> None:
    """Set the margin's statistics from the recipe's number of images, in whole batches; all ranks call it."""
    num_images = run.config.norm_warm_start_images
    num_batches = -(-num_images // run.config.data.batch_size)
    batches = training_batches(
        run.dataset,
        run.batches,
        first_step=0,
        num_steps=num_batches,
        num_workers=run.config.data.num_workers,
        skip_broken=run.config.data.skip_broken,
        reuse_memory=True,
    )
    norms: list[Tensor] = []
    labels: list[Tensor] = []
    with batches, on_copies_of_buffers(run.task.backbone):
        for step, batch in enumerate(batches):
            seed_dropout(run, step)
            norms.append(embed(run, batch.images.to(run.ranks.device)).float().norm(dim=1))
            labels.append(batch.labels.to(run.ranks.device, copy=True))
    all_norms, all_labels = torch.cat(norms), torch.cat(labels)
    for part in run.task.heads:
        own_norms = all_norms[part.rows_of(all_labels)]
        for margin in part.head.modules():  # one a sphere
            if isinstance(margin, FollowsNorms):
                margin.warm_start(own_norms)
