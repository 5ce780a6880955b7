"""Which images make up which step: a pure function of (seed, step), whatever the number of ranks and workers.

So resuming needs no state but the step, and a run that goes on with another number of ranks sees the same global
batches. A shuffle over the whole set matters: giving each rank its own contiguous part of a list that is sorted by
identity, as some published loaders do, gives each rank its own people.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple, Required, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.loading.permutation import ComputedShuffle

MOST_WRITTEN_DOWN = 1 << 22
"""Images; the order of larger sets is computed batch by batch, for numpy would take seconds to draw it at once."""


class SampleAddress(NamedTuple):
    """One use of one image. Augmentation is drawn from it."""

    epoch: int
    """Tells the uses of an image apart; in a plain shuffle it is the number of the epoch."""
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody asks of an address


class Cut(TypedDict, total=False):
    """What all batches are made of: their size, what their order follows from, and which slice is wanted."""

    global_batch_size: Required[int]
    """Over all ranks."""
    seed: Required[int]
    """Of all orders."""
    rank: int
    """The one whose slice is wanted; 0 by default."""
    world_size: int
    """How many ranks share a batch; 1 by default."""


class Batches(ABC):
    """Global batches by their step, cut into one slice for each rank."""

    def __init__(
        self, num_samples: int, *, global_batch_size: int, seed: int, rank: int = 0, world_size: int = 1
    ) -> None:
        """Check that the numbers fit together.

        Raises:
            InputError: a batch that the ranks cannot share evenly.
            ValueError: a rank outside 0..world_size-1, or a negative seed.
        """
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} is outside 0..{world_size - 1}")
        if seed < 0:
            raise ValueError(f"seed {seed} is negative")
        if global_batch_size < 1:
            raise InputError(f"a batch of {global_batch_size} images is no batch; give at least 1.")
        if global_batch_size % world_size:
            near = max(1, round(global_batch_size / world_size)) * world_size
            raise InputError(
                f"a global batch of {global_batch_size} images cannot be shared evenly by {world_size} ranks;"
                f" {near} can."
            )
        self.num_samples = num_samples
        self.global_batch_size = global_batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size

    @property
    @abstractmethod
    def steps_per_epoch(self) -> int:
        """Whole batches in one epoch, of which each kind says what it is."""

    @abstractmethod
    def addresses(self, step: int, start: int, end: int) -> list[SampleAddress]:
        """Return images `start` to `end` (not included) of global batch `step`."""

    @property
    def local_batch_size(self) -> int:
        """Images of a batch on this rank."""
        return self.global_batch_size // self.world_size

    def groups_per_batch(self, size: int) -> int:
        """Return how many groups of `size` images stand side by side in a global batch.

        Raises:
            InputError: a rank would have a part of a group.
        """
        if self.local_batch_size % size:
            raise InputError(
                f"a batch of {self.global_batch_size} images does not hold whole groups of {size} images on each"
                f" of {self.world_size} ranks; choose a multiple of {size * self.world_size}."
            )
        return self.global_batch_size // size

    def batch_at(self, step: int) -> list[SampleAddress]:
        """Return this rank's slice of global batch `step`, counted from 0 over all epochs.

        Raises:
            ValueError: a negative step.
        """
        if step < 0:
            raise ValueError(f"step {step} is negative")
        start = self.rank * self.local_batch_size
        return self.addresses(step, start, start + self.local_batch_size)


class Shuffle:
    """Seeded permutations of 0..N-1; the last one asked for is kept."""

    def __init__(self, num: int, *seed: int) -> None:
        self.num = num
        self.seed = seed
        self._cached: tuple[int, npt.NDArray[np.int64] | ComputedShuffle] | None = None

    def __call__(self, epoch: int) -> npt.NDArray[np.int64] | ComputedShuffle:
        """Return the permutation of one epoch, seeded by the pair: with seed * epoch every seed shares epoch 0."""
        if self._cached is None or self._cached[0] != epoch:
            seed = np.random.SeedSequence([*self.seed, epoch])
            if self.num > MOST_WRITTEN_DOWN:
                self._cached = (epoch, ComputedShuffle(self.num, seed))
            else:
                self._cached = (epoch, np.random.default_rng(seed).permutation(self.num))
        return self._cached[1]


class ShuffledBatches(Batches):
    """Seeded global shuffles, cut into batches. An epoch is one shuffle.

    The last partial batch of an epoch is dropped: what is left over is different images in every epoch.
    """

    def __init__(self, num_samples: int, **cut: Unpack[Cut]) -> None:
        """Check that the numbers fit together.

        Raises:
            InputError: a batch that is larger than the set, or that the ranks cannot share evenly.
            ValueError: see `Batches`.
        """
        refuse_large_batch(cut["global_batch_size"], num_samples)
        super().__init__(num_samples, **cut)
        self._shuffle = Shuffle(num_samples, self.seed)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in one pass over the set."""
        return self.num_samples // self.global_batch_size

    def addresses(self, step: int, start: int, end: int) -> list[SampleAddress]:
        """Return images `start` to `end` of global batch `step`."""
        epoch, step_in_epoch = divmod(step, self.steps_per_epoch)
        first = step_in_epoch * self.global_batch_size
        return [SampleAddress(epoch, int(i)) for i in self._shuffle(epoch)[first + start : first + end]]


def refuse_large_batch(batch_size: int, num_samples: int) -> None:
    """Refuse a batch that is larger than the set it is drawn from.

    Raises:
        InputError: it is.
    """
    if batch_size > num_samples:
        raise InputError(
            f"the batch of {batch_size} images is larger than the set of {num_samples};"
            f" choose a batch size of {num_samples} or less."
        )
