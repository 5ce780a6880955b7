"""Which images make up which step: a pure function of (seed, step), whatever the number of ranks and workers.

So resuming needs no state but the step, and a run that goes on with another number of ranks sees the same global
batches. A shuffle over the whole set matters: giving each rank its own contiguous part of a list that is sorted by
identity, as some published loaders do, gives each rank its own people.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.loading.permutation import ComputedShuffle

MOST_WRITTEN_DOWN = 1 << 22
"""Images; the order of larger sets is computed batch by batch, for numpy would take seconds to draw it at once."""


class SampleAddress(NamedTuple):
    """One use of one image. Augmentation is drawn from it."""

    epoch: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody asks of an address


class ShuffledBatches:
    """Seeded global shuffles, cut into global batches, cut into one slice for each rank.

    The last partial batch of an epoch is dropped: what is left over is different images in every epoch.
    """

    def __init__(
        self, num_samples: int, *, global_batch_size: int, seed: int, rank: int = 0, world_size: int = 1
    ) -> None:
        """Check that the numbers fit together.

        Raises:
            InputError: a batch that is larger than the set, or that the ranks cannot share evenly.
            ValueError: a rank outside 0..world_size-1, or a negative seed.
        """
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} is outside 0..{world_size - 1}")
        if seed < 0:
            raise ValueError(f"seed {seed} is negative")
        if global_batch_size < 1:
            raise InputError(f"a batch of {global_batch_size} images is no batch; give at least 1.")
        if global_batch_size > num_samples:
            raise InputError(
                f"the batch of {global_batch_size} images is larger than the set of {num_samples};"
                f" choose a batch size of {num_samples} or less."
            )
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
        self._cached: tuple[int, npt.NDArray[np.int64] | ComputedShuffle] | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in one pass over the set."""
        return self.num_samples // self.global_batch_size

    @property
    def local_batch_size(self) -> int:
        """Images of a batch on this rank."""
        return self.global_batch_size // self.world_size

    def batch_at(self, step: int) -> list[SampleAddress]:
        """Return this rank's slice of global batch `step`, counted from 0 over all epochs.

        Raises:
            ValueError: a negative step.
        """
        if step < 0:
            raise ValueError(f"step {step} is negative")
        epoch, step_in_epoch = divmod(step, self.steps_per_epoch)
        start = step_in_epoch * self.global_batch_size + self.rank * self.local_batch_size
        return [SampleAddress(epoch, int(i)) for i in self._shuffle(epoch)[start : start + self.local_batch_size]]

    def _shuffle(self, epoch: int) -> npt.NDArray[np.int64] | ComputedShuffle:
        """Return the permutation of one epoch, seeded by the pair: with seed * epoch every seed shares epoch 0."""
        if self._cached is None or self._cached[0] != epoch:
            seed = np.random.SeedSequence([self.seed, epoch])
            if self.num_samples > MOST_WRITTEN_DOWN:
                self._cached = (epoch, ComputedShuffle(self.num_samples, seed))
            else:
                self._cached = (epoch, np.random.default_rng(seed).permutation(self.num_samples))
        return self._cached[1]
