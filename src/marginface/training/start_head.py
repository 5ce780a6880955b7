"""A head that begins at the class means of the training images, as the starting model sees them."""

from __future__ import annotations

import logging

import torch

from marginface.evaluation.embed import embed_records
from marginface.heads import MarginHead
from marginface.heads.class_means import start_from_class_means
from marginface.training.build import TrainingRun
from marginface.training.validation import current_model

logger = logging.getLogger(__name__)


def start_head(run: TrainingRun) -> None:
    """Turn the head's centres to the means of their classes' embeddings; all ranks call it, before the first step.

    Images are not augmented and the network is in evaluation mode.
    """
    records, data = run.dataset.records, run.config.data
    logger.info("class means of %s images", f"{len(records):,}")
    table = embed_records(
        current_model(run),
        records,
        flip="none",
        num_workers=data.num_workers,
        skip_broken=data.skip_broken,
        max_side=data.max_side,
        ranks=run.ranks,
    )
    head = run.task.head
    assert isinstance(head, MarginHead)  # build_run refuses others
    device = run.ranks.device
    start_from_class_means(head, torch.from_numpy(table.vectors).to(device), torch.from_numpy(table.labels).to(device))
