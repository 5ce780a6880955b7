"""Where a head begins when a model is trained further: at class means, or at the centres of an earlier head."""

from __future__ import annotations

import logging

import torch

from marginface.errors import InputError
from marginface.evaluation.embed import embed_records
from marginface.heads import MarginHead
from marginface.heads.class_means import start_from_class_means, start_from_head
from marginface.heads.store import load_head
from marginface.training.build import TrainingRun
from marginface.training.validation import current_model

logger = logging.getLogger(__name__)


def start_head(run: TrainingRun, begin: str) -> None:
    """Set the head's centres to what `start.head` says; all ranks call it, before the first step.

    Raises:
        InputError: a folder that holds no head, or one over other classes than the data's.
    """
    if begin == "random":
        return
    if begin == "class_means":
        _at_class_means(run)
        return
    (only,) = run.task.heads  # the recipe refuses others
    assert isinstance(only.head, MarginHead)  # build_run refuses others
    _at_stored_head(run, only.head, begin)


def _at_class_means(run: TrainingRun) -> None:
    """Images are not augmented and the network is in evaluation mode."""
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
    device = run.ranks.device
    vectors, labels = torch.from_numpy(table.vectors).to(device), torch.from_numpy(table.labels).to(device)
    for part in run.task.heads:
        assert isinstance(part.head, MarginHead)  # build_run refuses others
        own = part.rows_of(labels)
        start_from_class_means(part.head, vectors[own], labels[own] - part.first_label)


def _at_stored_head(run: TrainingRun, head: MarginHead, folder: str) -> None:
    stored, ours = load_head(folder), run.dataset.records.identities
    numbers = tuple(str(i) for i in range(len(stored.identities)))  # published files number their classes
    if len(stored.identities) == len(ours) and stored.identities not in (numbers, tuple(ours)):
        label = next(i for i, (a, b) in enumerate(zip(stored.identities, ours, strict=True)) if a != b)
        raise InputError(
            f"start.head: class {label} of {folder} is {stored.identities[label]!r}, of the data {ours[label]!r}; give "
            "the head of these people in this order, or class_means."
        )
    try:
        start_from_head(head, stored.head)
    except InputError as error:
        raise InputError(f"start.head: {folder}: {error}") from error
    if stored.identities == numbers != tuple(ours):
        logger.info(
            "%s numbers its classes; they are taken to be in the order of %s", folder, run.dataset.records.location
        )
