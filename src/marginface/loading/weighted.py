"""Batches with fixed shares of several sets, whatever their sizes: a small set comes round more often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.loading.sampler import Batches, Cut, SampleAddress, Shuffle


class WeightedBatches(Batches):
    """So many images of each set in every batch, each set in shuffles of its own, mixed within the batch.

    The address of an image counts the rounds of its own set. An epoch is as many images as all sets have together.
    """

    def __init__(self, sizes: Sequence[int], *, weights: Sequence[float], **cut: Unpack[Cut]) -> None:
        """Cut the batch into the sets' shares.

        Args:
            sizes: images of each set; set number k has the indices after those of the sets before it.
            weights: of each set, in any unit; shares of a batch are rounded to whole images.
            cut: the size of a batch, and how ranks share it.

        Raises:
            InputError: other than one weight a set, or a set without a single image in a batch.
            ValueError: see `Batches`.
        """
        super().__init__(sum(sizes), **cut)
        if len(weights) != len(sizes):
            raise InputError(f"there are {len(weights)} weights for {len(sizes)} sources; give one for each source.")
        self.shares = shares(weights, self.global_batch_size)
        if min(self.shares) == 0:
            number = self.shares.index(0) + 1
            raise InputError(
                f"a batch of {self.global_batch_size} images has none of source number {number} at these weights; raise"
                " its weight or the batch size."
            )
        self._firsts = np.cumsum([0, *sizes[:-1]])
        self._shuffles = [Shuffle(size, self.seed, number) for number, size in enumerate(sizes)]

    @property
    def steps_per_epoch(self) -> int:
        """Batches until as many images were seen as all sets have together."""
        return max(1, self.num_samples // self.global_batch_size)

    def addresses(self, step: int, start: int, end: int) -> list[SampleAddress]:
        """Return images `start` to `end` of global batch `step`."""
        batch = np.concatenate([self._of_set(number, step) for number in range(len(self.shares))])
        mixed = np.random.default_rng(np.random.SeedSequence([self.seed, step, len(self.shares)])).permutation(batch)
        return [SampleAddress(int(epoch), int(index)) for epoch, index in mixed[start:end]]

    def _of_set(self, number: int, step: int) -> npt.NDArray[np.int64]:
        """Return (share, 2) rounds and indices: the next places of the set's endless sequence of shuffles."""
        share, shuffle = self.shares[number], self._shuffles[number]
        rounds, places = np.divmod(np.arange(step * share, (step + 1) * share), shuffle.num)
        indices = np.empty(share, dtype=np.int64)
        for round_ in np.unique(rounds).tolist():
            here = rounds == round_
            first, last = places[here][0], places[here][-1]
            indices[here] = shuffle(round_)[first : last + 1]
        return np.column_stack([rounds, indices + self._firsts[number]])


def shares(weights: Sequence[float], num: int) -> list[int]:
    """Return whole numbers that add up to `num` in proportion to the weights, by the largest remainders.

    Raises:
        InputError: a weight that is not above 0.
    """
    if min(weights) <= 0:
        raise InputError(f"weight {min(weights):g} of a source is not above 0; leave the source out instead.")
    exact = np.asarray(weights, dtype=np.float64) / sum(weights) * num
    whole = np.floor(exact).astype(int)
    for number in np.argsort(whole - exact, kind="stable")[: num - int(whole.sum())]:
        whole[number] += 1
    return [int(share) for share in whole]
