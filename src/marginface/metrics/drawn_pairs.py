"""Pairs in the order of their scores and their weights when people are drawn again: what every bootstrap here shares.

The weights and lambda are explained in `bootstrap.py`. Letters: R replicates, P people, M mated and N non-mated pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.metrics.replicates import drawn_times

Array = npt.NDArray

AT_ONCE = 2**19
"""Pairs whose weights are computed together, times replicates: 4 MB, which stays in cache."""


@dataclass(frozen=True, eq=False)
class Resample:
    """Weights of the pairs in ascending order of score, and their sums: `mated_sums[k]` is that of the k lowest.

    Of one replicate, or of R of them with one axis more in front.
    """

    mated: Array  # (..., M)
    non_mated: Array  # (..., N) products
    mated_sums: Array  # (..., M + 1)
    non_mated_sums: Array  # (..., N + 1)


class OrderedPairs:
    """Mated and non-mated pairs in ascending order of score, and where each distinct threshold cuts the two orders."""

    def __init__(self, scores: Array, mated: Array, left: Array, right: Array) -> None:
        self.mated_order = np.flatnonzero(mated)[np.argsort(scores[mated], kind="stable")]
        self.non_mated_order = np.flatnonzero(~mated)[np.argsort(scores[~mated], kind="stable")]
        self.person = left[self.mated_order]
        self.left, self.right = left[self.non_mated_order], right[self.non_mated_order]
        self.num_people = int(max(left.max(), right.max())) + 1
        self.mated_scores, self.non_mated_scores = scores[self.mated_order], scores[self.non_mated_order]
        self.thresholds = np.unique(scores)
        # One step further than the scores: the threshold that nothing reaches.
        self.mated_below = np.append(np.searchsorted(self.mated_scores, self.thresholds), len(self.person))
        self.non_mated_below = np.append(np.searchsorted(self.non_mated_scores, self.thresholds), len(self.left))
        self.couple = couples(self.left, self.right, self.num_people)

    def resample(self, times: Array) -> Resample | None:
        """Return the pairs' weights when person i was drawn `times[i]` times; None where a kind has none left.

        Args:
            times: (P,), or (R, P) for many replicates; of these, those that leave a kind without pairs are left out.
        """
        times = times.astype(np.float64)  # whole numbers still, and their sums exact
        weights = [times.take(self.person, -1), times.take(self.left, -1) * times.take(self.right, -1)]
        alive = (weights[0].any(axis=-1)) & (weights[1].any(axis=-1))
        if not alive.any():
            return None
        if not alive.all():
            weights = [side[alive] for side in weights]
        sums = [np.zeros((*side.shape[:-1], side.shape[-1] + 1)) for side in weights]
        for side, summed in zip(weights, sums, strict=True):
            np.cumsum(side, axis=-1, out=summed[..., 1:])
        return Resample(*weights, *sums)

    def replicate(self, seed: int, number: int) -> Resample | None:
        """Return `resample` of as many people as there are, drawn with replacement by (seed, number)."""
        return self.resample(drawn_times(self.num_people, number, seed))

    def replicates(self, seed: int, number: int) -> Iterator[Resample]:
        """Yield the replicates 0 to `number` - 1, many at once."""
        block = max(1, AT_ONCE // (len(self.person) + len(self.left)))
        for start in range(0, number, block):
            numbers = range(start, min(start + block, number))
            drawn = self.resample(np.stack([drawn_times(self.num_people, k, seed) for k in numbers]))
            if drawn is not None:
                yield drawn

    def tempered(self, resample: Resample, tempering: float) -> Array:
        """Return the weights of the non-mated pairs, drawn back by `tempering`, in score order; their mean is 1."""
        weights: Array = resample.non_mated * (tempering * len(self.left) / resample.non_mated_sums[..., -1:])
        return weights + (1 - tempering)

    def highest_refused(self, weight: Array, fmr: float) -> float:
        """Return the highest non-mated score that may not match: with it the weighted share would exceed `fmr`.

        Args:
            weight: (N,) of the non-mated pairs in score order.
            fmr: between 0 and 1.
        """
        from_above = np.cumsum(weight[::-1])  # of the k + 1 highest scores
        allowed = int(np.searchsorted(from_above, (fmr + 1e-12) * from_above[-1], side="right"))
        return float(self.non_mated_scores[len(weight) - 1 - min(allowed, len(weight) - 1)])

    def next_above(self, score: float) -> float:
        """Return the lowest observed score above `score`, a threshold that refuses it; a hair above where none is."""
        place = int(np.searchsorted(self.thresholds, score, side="right"))
        if place < len(self.thresholds):
            return float(self.thresholds[place])
        highest = self.thresholds[-1]
        return float(np.nextafter(highest, highest.dtype.type(np.inf)))

    def tempering(self, outcome: Array) -> float:
        """Return lambda for a per-pair outcome of the non-mated pairs, in score order."""
        return lambda_and_design_effect(*variances(outcome, self.left, self.right, self.couple))[0]

    def design_effect(self, outcome: Array) -> float:
        """Return how many times larger the variance of the mean outcome is than that of as many independent pairs."""
        return lambda_and_design_effect(*variances(outcome, self.left, self.right, self.couple))[1]


def couples(left: Array, right: Array, num_people: int) -> Array:
    """Return a number for the two people of each pair, the same whoever is on the left."""
    both = np.minimum(left, right).astype(np.int64) * num_people + np.maximum(left, right)
    return np.unique(both, return_inverse=True)[1]


def variances(outcome: Array, left: Array, right: Array, couple: Array) -> tuple[float, float, float]:
    """Return A and B of `bootstrap.py` for an outcome of each pair, and the sum of squared residuals.

    Args:
        outcome: (N,) such as 1 where the pair matches.
        left: (N,) the person on the left, numbered from 0.
        right: (N,) the person on the right.
        couple: (N,) from `couples`.
    """
    residual = outcome - outcome.mean()
    num_people = int(max(left.max(), right.max())) + 1
    by_person = sum(np.bincount(side, weights=residual, minlength=num_people) for side in (left, right))
    by_couple = np.bincount(couple, weights=residual)
    return tuple(float(np.square(part).sum()) for part in (by_person, by_couple, residual))  # type: ignore[return-value]


def lambda_and_design_effect(a: float, b: float, alone: float) -> tuple[float, float]:
    """Return how far product weights are drawn back, and how many pairs weigh one of people who do not recur.

    Args:
        a: squared sums of residuals, by person.
        b: the same by couple of people.
        alone: sum of squared residuals. The design effect is (A - B) over it, 1 at least.
    """
    tempering = float(np.sqrt(np.clip((a - b) / (a + b), 1 / 3, 1))) if a + b > 0 else 1 / 3**0.5
    return tempering, max((a - b) / alone, 1.0) if alone > 0 else 1.0


def numbered(left: npt.ArrayLike, right: npt.ArrayLike, num_pairs: int) -> tuple[Array, Array]:
    """Return the people of both sides as whole numbers from 0 on.

    Raises:
        InputError: lengths that differ, or fewer than two people.
    """
    both = [np.asarray(side) for side in (left, right)]
    if any(side.shape != (num_pairs,) for side in both):
        raise InputError(
            f"An identity per score and side is needed; got {both[0].shape}, {both[1].shape} for {num_pairs:,}."
        )
    names, numbers = np.unique(np.concatenate(both), return_inverse=True)
    if len(names) < 2:
        raise InputError("All pairs are of one identity; resampling identities needs at least two.")
    return numbers[:num_pairs], numbers[num_pairs:]
