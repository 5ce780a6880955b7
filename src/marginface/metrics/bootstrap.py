"""Intervals that know that pairs share people: identities are drawn again, not pairs.

Why Wilson is too narrow here. Wilson counts pairs as independent coins. But a person whose photographs all look like
someone else's spoils every pair she is in; her pairs are one observation more than they are many. The new sample a
cautious reader should imagine is one of *other people*. So each replicate draws as many identities as there are, with
replacement; with m_i the number of times identity i was drawn,

    a mated pair of i weighs      m_i
    a non-mated pair of i and j   m_i * m_j

and the statistic is computed again with these weights (two-way or "pigeonhole" bootstrap; Owen, Annals of Applied
Statistics 2007; for biometrics Bolle et al., Computer Vision and Image Understanding 2004, and ISO/IEC 19795-1).

The product overdoes it where people hardly recur: for non-mated pairs that share nobody its variance is 3 times the
true one. So the resampled FMR is drawn back towards the observed one by a factor lambda,

    FMR* = (1 - lambda) FMR + lambda FMR_product,   lambda^2 = (A - B) / (A + B),
    A = sum over identities of S_i^2,   B = sum over couples of people of R_ij^2,

with R_ij the sum of residuals (match or not, minus the FMR) over the pairs of i and j, and S_i that over all pairs
with i. A + B is the variance under product weights; A - B is the variance when two pairs correlate only if they share a
person (Fafchamps and Gubert, Journal of Development Economics 2007). lambda runs from 1/sqrt(3), nobody recurs, to 1.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.metrics.intervals import Interval, normal_quantile
from marginface.metrics.sorted_scores import checked
from marginface.metrics.verification import equal_error_rate, fmr_support, fnmr_at_fmr

Array = npt.NDArray


@dataclass(frozen=True)
class BootstrapIntervals:
    """Percentile intervals of one bootstrap over identities."""

    equal_error_rate: Interval
    fnmr_at_fmr: Mapping[float, Interval]
    """By target FMR; a target that the data refuse (`fmr_support`) is absent."""
    fmr_at_threshold: Mapping[float, Interval]
    """By target FMR: the FMR of the threshold that `fnmr_at_fmr` chose for it, held fixed."""
    accuracy: Interval | None
    num_identities: int
    num_replicates: int
    """That gave a value; a replicate without any mated or non-mated pair is left out."""


def identity_bootstrap(
    scores: npt.ArrayLike,
    mated: npt.ArrayLike,
    identity_left: npt.ArrayLike,
    identity_right: npt.ArrayLike,
    *,
    fmr_targets: Sequence[float] = (),
    correct: npt.ArrayLike | None = None,
    num_replicates: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> BootstrapIntervals:
    """Return intervals of the EER, of the FNMR at each target FMR and of an accuracy, by resampling identities.

    The threshold is found again in each replicate, so its noise is part of the interval (for `correct`, decisions are
    given: at the best threshold accuracy is flat, and its noise is of second order). A sample without errors has no
    errors in any replicate: where few errors decide, take `wider` of this and Wilson, as `summarise` does.

    Args:
        scores: (N,) higher is more alike.
        mated: (N,) true where both sides are one person.
        identity_left: (N,) the person on the left, any integers or strings.
        identity_right: (N,) the person on the right.
        fmr_targets: as for `fnmr_at_fmr`.
        correct: (N,) whether each pair was judged rightly, for the interval of their mean (`k_fold_decisions`). The
            shares of mated and non-mated pairs are kept.
        num_replicates: 1,000 settle a 95 % interval's ends to a few per cent of its width.
        confidence: between 0 and 1.
        seed: of the draws; the same seed gives the same intervals, in any pair order.

    Raises:
        InputError: scores that `sort_scores` refuses, lengths that differ, fewer than two identities, or so few that no
            replicate holds both kinds of pairs.
    """
    normal_quantile(confidence)  # refuses what is outside (0, 1)
    values, is_mated = checked(scores, mated)
    people = numbered(identity_left, identity_right, len(values))
    pairs = OrderedPairs(values, is_mated, *people)
    statistics: list[Callable[[Resample], float]] = [
        _EqualErrorRate(pairs, float(equal_error_rate(values, is_mated).threshold))
    ]
    targets = [fmr for fmr in fmr_targets if fmr_support(len(pairs.left), fmr) != "refused"]
    thresholds = [fnmr_at_fmr(values, is_mated, fmr=fmr).threshold for fmr in targets]
    statistics += [_FnmrAtFmr(pairs, fmr, threshold) for fmr, threshold in zip(targets, thresholds, strict=True)]
    statistics += [_FmrAtThreshold(pairs, threshold) for threshold in thresholds]
    if correct is not None:
        statistics.append(_Accuracy(pairs, np.asarray(correct, dtype=np.float64)))

    results = []
    for replicate in range(num_replicates):
        resample = pairs.replicate(seed, replicate)
        if resample is not None:
            results.append([statistic(resample) for statistic in statistics])
    if not results:
        raise InputError(
            f"{pairs.num_people} identities are too few for a bootstrap: no replicate held both kinds of pairs."
        )
    tail = (1 - confidence) / 2
    ends = np.quantile(np.array(results), [tail, 1 - tail], axis=0)
    intervals = [Interval(float(low), float(high), confidence, "identity bootstrap") for low, high in ends.T]
    return BootstrapIntervals(
        equal_error_rate=intervals[0],
        fnmr_at_fmr=dict(zip(targets, intervals[1:], strict=False)),
        fmr_at_threshold=dict(zip(targets, intervals[1 + len(targets) :], strict=False)),
        accuracy=intervals[-1] if correct is not None else None,
        num_identities=pairs.num_people,
        num_replicates=len(results),
    )


@dataclass(frozen=True, eq=False)
class Resample:
    """Weights of the pairs in ascending order of score, and their sums: `mated_sums[k]` is that of the k lowest."""

    mated: Array  # (M,)
    non_mated: Array  # (N,) products
    mated_sums: Array  # (M + 1,)
    non_mated_sums: Array  # (N + 1,)


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
        couples = np.minimum(self.left, self.right) * self.num_people + np.maximum(self.left, self.right)
        self.couple = np.unique(couples, return_inverse=True)[1]

    def resample(self, times: Array) -> Resample | None:
        """Return the pairs' weights when person i was drawn `times[i]` times; None where a kind has none left."""
        times = times.astype(np.float64)  # whole numbers still, and their sums exact
        weights = (times[self.person], times[self.left] * times[self.right])
        sums = tuple(np.zeros(len(side) + 1) for side in weights)
        for side, summed in zip(weights, sums, strict=True):
            np.cumsum(side, out=summed[1:])
        return None if 0 in (sums[0][-1], sums[1][-1]) else Resample(*weights, *sums)

    def replicate(self, seed: int, number: int) -> Resample | None:
        """Return `resample` of as many people as there are, drawn with replacement by (seed, number)."""
        draws = np.random.default_rng((seed, number)).integers(self.num_people, size=self.num_people)
        return self.resample(np.bincount(draws, minlength=self.num_people))

    def tempered(self, resample: Resample, tempering: float) -> Array:
        """Return the weights of the non-mated pairs, drawn back by `tempering`, in score order; their mean is 1."""
        weights: Array = resample.non_mated * (tempering * len(self.left) / resample.non_mated_sums[-1])
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
        """Return lambda of the module's docstring for a per-pair outcome of the non-mated pairs, in score order."""
        a, b, _ = self._variances(outcome)
        return float(np.sqrt(np.clip((a - b) / (a + b), 1 / 3, 1))) if a + b > 0 else 1 / 3**0.5

    def design_effect(self, outcome: Array) -> float:
        """Return how many times larger the variance of the mean outcome is than that of as many independent pairs.

        (A - B) over the sum of squared residuals, 1 at least; so many pairs weigh one independent pair.
        """
        a, b, alone = self._variances(outcome)
        return max((a - b) / alone, 1.0) if alone > 0 else 1.0

    def _variances(self, outcome: Array) -> tuple[float, float, float]:
        """Return A and B of the module's docstring, and the sum of squared residuals."""
        residual = outcome - outcome.mean()
        by_person = sum(
            np.bincount(side, weights=residual, minlength=self.num_people) for side in (self.left, self.right)
        )
        by_couple = np.bincount(self.couple, weights=residual)
        return tuple(float(np.square(part).sum()) for part in (by_person, by_couple, residual))  # type: ignore[return-value]


class _Curve:
    """FMR and FNMR of a resample at the k-th distinct threshold."""

    def __init__(self, pairs: OrderedPairs, threshold: float | None) -> None:
        assert threshold is not None  # targets without an operating point were left out
        self.pairs = pairs
        self.tempering = pairs.tempering((pairs.non_mated_scores >= threshold).astype(np.float64))
        self.num_points = len(pairs.mated_below)

    def fnmr(self, resample: Resample, point: int) -> float:
        return float(resample.mated_sums[self.pairs.mated_below[point]] / resample.mated_sums[-1])

    def fmr(self, resample: Resample, point: int) -> float:
        below = self.pairs.non_mated_below[point]
        observed = 1 - below / len(self.pairs.left)
        product = 1 - resample.non_mated_sums[below] / resample.non_mated_sums[-1]
        return float((1 - self.tempering) * observed + self.tempering * product)


class _EqualErrorRate(_Curve):
    def __call__(self, resample: Resample) -> float:
        def surplus(point: int) -> float:
            return self.fnmr(resample, point) - self.fmr(resample, point)

        upper = bisect_left(range(self.num_points), 0.0, key=surplus, hi=self.num_points - 1)
        above, below = surplus(upper), surplus(upper - 1)  # upper > 0: at the lowest score the surplus is -1
        low, high = self.fnmr(resample, upper - 1), self.fnmr(resample, upper)
        return low - below / (above - below) * (high - low)


class _FnmrAtFmr(_Curve):
    def __init__(self, pairs: OrderedPairs, target: float, threshold: float | None) -> None:
        super().__init__(pairs, threshold)
        self.target = target + 1e-12  # sums of shares carry rounding

    def __call__(self, resample: Resample) -> float:
        point = bisect_left(range(self.num_points), True, key=lambda k: self.fmr(resample, k) <= self.target)
        return self.fnmr(resample, point)


class _FmrAtThreshold(_Curve):
    def __init__(self, pairs: OrderedPairs, threshold: float | None) -> None:
        super().__init__(pairs, threshold)
        self.point = int(np.searchsorted(pairs.thresholds, pairs.thresholds.dtype.type(threshold)))

    def __call__(self, resample: Resample) -> float:
        return self.fmr(resample, self.point)


class _Accuracy:
    def __init__(self, pairs: OrderedPairs, correct: Array) -> None:
        self.mated, self.non_mated = correct[pairs.mated_order], correct[pairs.non_mated_order]
        self.tempering = pairs.tempering(self.non_mated)

    def __call__(self, resample: Resample) -> float:
        mated = resample.mated @ self.mated / resample.mated_sums[-1]
        product = resample.non_mated @ self.non_mated / resample.non_mated_sums[-1]
        non_mated = (1 - self.tempering) * self.non_mated.mean() + self.tempering * product
        num_mated, num_non_mated = len(self.mated), len(self.non_mated)
        return float((num_mated * mated + num_non_mated * non_mated) / (num_mated + num_non_mated))


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
