"""Batches whose images lie in a few places of shared memory, used in turns: nothing is mapped or copied for a batch.

A worker that makes each batch in new shared memory spends a good part of its time on fresh pages, and the parent on
mapping them. Here the places are made once, before the workers start, and what is passed on is only a place's number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from marginface.loading.dataset import FaceBatch, FaceDataset
from marginface.loading.sampler import SampleAddress


class Task(NamedTuple):
    """A batch to make, and where."""

    addresses: list[SampleAddress]
    place: int


class Done(NamedTuple):
    """A batch that was made: all but its images, which stay where they are."""

    place: int
    labels: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int64]
    strengths: npt.NDArray[np.float32] | None
    broken: tuple[str, ...]
    broken_keys: tuple[str, ...]


class BatchRing(Dataset):
    """A dataset that fills the places of a ring, and the other end that reads them.

    With n batches under way at most, n + 1 places are enough: the one beyond holds the batch that the consumer has,
    which is overwritten only after the next batch has been asked for.
    """

    def __init__(self, dataset: FaceDataset, *, batch_size: int, under_way: int) -> None:
        """Make the places.

        Args:
            dataset: what makes the images.
            batch_size: most images of a batch.
            under_way: most batches that are being made, or wait, at any time.
        """
        self.dataset = dataset
        size = dataset.size
        self.places = torch.empty((under_way + 1, batch_size, size, size, 3), dtype=torch.uint8).share_memory_()

    def tasks(self, plan: Iterable[list[SampleAddress]]) -> _Tasks:
        """Return the batches of a plan with the place of each."""
        return _Tasks(plan, len(self.places))

    def __getitem__(self, task: Task) -> Done:
        """Make a batch in its place; what a worker does."""
        batch = self.dataset.batch(task.addresses, into=self.places[task.place])
        return Done(
            place=task.place,
            labels=batch.labels.numpy(),
            indices=batch.indices.numpy(),
            strengths=batch.strengths,
            broken=batch.broken,
            broken_keys=batch.broken_keys,
        )

    def received(self, done: Done) -> FaceBatch:
        """Return the batch as the consumer sees it; its images hold until the next one is asked for."""
        return FaceBatch(
            images=self.places[done.place, : len(done.labels)],
            labels=torch.from_numpy(done.labels),
            indices=torch.from_numpy(done.indices),
            strengths=done.strengths,
            broken=done.broken,
            broken_keys=done.broken_keys,
        )


class _Tasks:
    """Places in turns, in the order in which batches are given to the workers."""

    def __init__(self, plan: Iterable[list[SampleAddress]], num_places: int) -> None:
        self.plan = plan
        self.num_places = num_places

    def __iter__(self) -> Iterator[Task]:
        for number, addresses in enumerate(self.plan):
            yield Task(addresses, number % self.num_places)
