"""Batches from worker processes. What comes out, and in which order, does not depend on how many there are."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import cv2
import torch
from torch.utils.data import DataLoader

from marginface.errors import InputError, WorkError
from marginface.loading.dataset import FaceBatch, FaceDataset
from marginface.loading.ring import BatchRing
from marginface.loading.sampler import Batches, SampleAddress

logger = logging.getLogger(__name__)

_PREFETCHED = 2
"""Batches that each worker has under way."""

_WORDS_OF_A_DEAD_WORKER = ("exited unexpectedly", "killed by signal", "shared memory", "bus error")


def training_batches(
    dataset: FaceDataset,
    batches: Batches,
    *,
    first_step: int,
    num_steps: int | None,
    num_workers: int,
    skip_broken: bool = False,
    reuse_memory: bool = False,
) -> BatchLoader:
    """Return the batches of steps `first_step`, `first_step + 1`, and so on.

    Args:
        dataset: the images.
        batches: which images make up which step, on this rank.
        first_step: counted from 0 over all epochs; resuming is starting here.
        num_steps: how many; None goes on for ever.
        num_workers: processes that read and decode; 0 does it in this one.
        skip_broken: leave out images that cannot be used, count and log them. Otherwise the first one is an error.
        reuse_memory: make images in the same few pieces of memory, which is quicker. Those of a batch then hold until
            the next one is asked for.
    """
    if len(dataset) != batches.num_samples:
        raise ValueError(f"the dataset has {len(dataset)} images, its batches are drawn from {batches.num_samples}")
    plan = _TrainingPlan(batches, first_step, num_steps)
    return BatchLoader(
        dataset,
        plan,
        num_workers=num_workers,
        skip_broken=skip_broken,
        may_be_empty=False,
        reused_batch_size=batches.local_batch_size if reuse_memory else None,
    )


def sequential_batches(
    dataset: FaceDataset,
    *,
    batch_size: int,
    num_workers: int,
    skip_broken: bool = False,
    indices: Sequence[int] | None = None,
) -> BatchLoader:
    """Return every image once, in order; the last batch may be smaller.

    Args:
        dataset: the images; it must not augment.
        batch_size: images a batch.
        num_workers: processes that read and decode; 0 does it in this one.
        skip_broken: leave out images that cannot be used, count and log them. Otherwise the first one is an error.
        indices: which images; by default all.
    """
    if dataset.augment is not None:
        raise ValueError("sequential batches are for evaluation; give the dataset augment=None")
    if batch_size < 1:
        raise InputError(f"a batch of {batch_size} images is no batch; give at least 1.")
    chosen = range(len(dataset)) if indices is None else [int(i) for i in indices]
    plan = [
        [SampleAddress(0, i) for i in chosen[start : start + batch_size]] for start in range(0, len(chosen), batch_size)
    ]
    return BatchLoader(dataset, plan, num_workers=num_workers, skip_broken=skip_broken, may_be_empty=True)


class BatchLoader(Iterator[FaceBatch]):
    """Iterates over batches, keeps count of broken images, and ends its workers when closed, exhausted or dropped."""

    def __init__(
        self,
        dataset: FaceDataset,
        plan: Iterable[list[SampleAddress]],
        *,
        num_workers: int,
        skip_broken: bool,
        may_be_empty: bool,
        reused_batch_size: int | None = None,
    ) -> None:
        """Start the workers.

        Args:
            dataset: the images.
            plan: the addresses of each batch.
            num_workers: processes; 0 is this one.
            skip_broken: count and log images that cannot be used; otherwise the first one is an error.
            may_be_empty: pass over batches without one good image; otherwise such a batch is an error.
            reused_batch_size: most images of a batch, for all to lie in the same memory; None: each has its own.
        """
        if num_workers < 0:
            raise InputError(f"num_workers {num_workers} is not a number of processes; give 0 or more.")
        self._skip_broken = skip_broken
        self._may_be_empty = may_be_empty
        self._broken: dict[str, str] = {}
        self._num_good = 0
        self._location = dataset.records.location
        self._ring: BatchRing | None = None
        if reused_batch_size is not None:
            under_way = num_workers * _PREFETCHED
            self._ring = BatchRing(dataset, batch_size=reused_batch_size, under_way=under_way)
        loader: DataLoader[Any] = DataLoader(
            dataset if self._ring is None else self._ring,
            batch_size=None,
            sampler=plan if self._ring is None else self._ring.tasks(plan),
            num_workers=num_workers,
            prefetch_factor=_PREFETCHED if num_workers else None,
            collate_fn=_as_it_is,  # type: ignore[arg-type]
            worker_init_fn=_start_worker,
            # Its own generator: otherwise starting the workers draws from the ambient stream, and a resumed run, which
            # starts them once more, would draw other dropout masks than the run without a break.
            generator=torch.Generator(),
        )
        self._iterator: Any = iter(loader)
        # A run that ends by an error may not close its loader; multiprocessing would then wait for the workers forever.
        self._at_exit = _closer(weakref.ref(self))
        atexit.register(self._at_exit)

    @property
    def num_broken(self) -> int:
        """How many different images have been left out so far."""
        return len(self._broken)

    @property
    def broken_keys(self) -> tuple[str, ...]:
        """Their keys, in the order in which they were met."""
        return tuple(self._broken)

    @property
    def broken(self) -> tuple[str, ...]:
        """A sentence for each of them."""
        return tuple(self._broken.values())

    def __next__(self) -> FaceBatch:
        """Return the next batch.

        Raises:
            InputError: an image cannot be used and skipping was not asked for, or nothing is left after skipping.
            WorkError: a worker process died.
        """
        while True:
            batch = self._fetch()
            self._account_for(batch)
            if len(batch):
                self._num_good += len(batch)
                return batch
            if not self._may_be_empty:
                self.close()
                raise InputError(
                    f"none of the {len(batch.broken)} images of a batch can be used, first {batch.broken[0]}"
                )

    def close(self) -> None:
        """End the workers. Closing twice does no harm."""
        iterator, self._iterator = self._iterator, None
        atexit.unregister(self._at_exit)
        if hasattr(
            iterator, "_shutdown_workers"
        ):  # torch has no public name for it; dropping it only ends them some day
            iterator._shutdown_workers()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_iterator", None) is not None:
            self.close()

    def _fetch(self) -> FaceBatch:
        if self._iterator is None:
            raise StopIteration
        try:
            item = next(self._iterator)
            batch: FaceBatch = item if self._ring is None else self._ring.received(item)
        except StopIteration:
            self.close()
            if self._broken and not self._num_good:
                sentence = next(iter(self._broken.values()))
                raise InputError(f"{self._location}: none of its images can be used, first {sentence}") from None
            raise
        except RuntimeError as error:
            self.close()
            if any(words in str(error).lower() for words in _WORDS_OF_A_DEAD_WORKER):
                raise WorkError(
                    f"a loading process died ({str(error).splitlines()[0]}); most often memory or /dev/shm is full:"
                    " use fewer workers or smaller batches, or num_workers 0."
                ) from error
            raise
        return batch

    def _account_for(self, batch: FaceBatch) -> None:
        if batch.broken and not self._skip_broken:
            self.close()
            num = len(batch.broken)
            count = "" if num == 1 else f" So are {num - 1} more of the {num + len(batch)} images of this batch."
            raise InputError(f"{batch.broken[0]}{count} Remove it, or set skip_broken to leave such images out.")
        for key, sentence in zip(batch.broken_keys, batch.broken, strict=True):
            if key not in self._broken:
                self._broken[key] = sentence
                logger.warning("left out: %s", sentence)


class _TrainingPlan:
    """The address lists of consecutive steps."""

    def __init__(self, batches: Batches, first_step: int, num_steps: int | None) -> None:
        self.batches = batches
        self.first_step = first_step
        self.num_steps = num_steps

    def __iter__(self) -> Iterator[list[SampleAddress]]:
        step = self.first_step
        while self.num_steps is None or step < self.first_step + self.num_steps:
            yield self.batches.batch_at(step)
            step += 1


def _closer(loader: weakref.ref[BatchLoader]) -> Callable[[], None]:
    def close() -> None:
        alive = loader()
        if alive is not None:
            alive.close()

    return close


def _as_it_is(item: object) -> object:
    return item


def _start_worker(worker_id: int) -> None:
    """Leave it to the main process to answer Ctrl-C and SIGTERM; it needs its workers until the checkpoint is there."""
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_at_the_second_call)


def _end_at_the_second_call(signal_number: int, frame: object) -> None:
    """Pass over the SIGTERM that reaches a whole process group; obey the next, by which the parent ends strays."""
    signal.signal(signal_number, _end_now)


def _end_now(signal_number: int, frame: object) -> None:
    os._exit(0)
