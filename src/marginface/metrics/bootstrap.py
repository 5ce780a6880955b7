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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from marginface.errors import InputError
from marginface.metrics.drawn_pairs import OrderedPairs, Resample, numbered
from marginface.metrics.intervals import Interval, normal_quantile
from marginface.metrics.kfold import GRID, first_match, k_fold_decisions
from marginface.metrics.replicates import expanded_percentiles
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
    fmr_design_effect: Mapping[float, float]
    """By target FMR: how many times more that FMR varies than that of as many pairs of people who do not recur."""
    accuracy_variance: float | None
    """Of the k-fold accuracy."""
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
    folds: npt.ArrayLike | None = None,
    num_replicates: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> BootstrapIntervals:
    """Return intervals of the EER, of the FNMR at each target FMR and of k-fold accuracy, by resampling identities.

    Thresholds are found again in each replicate, those of the folds too, so their noise is part of the interval. A
    sample without errors has no errors in any replicate: where few errors decide, take `wider` of this and Wilson, as
    `summarise` does.

    Args:
        scores: (N,) higher is more alike.
        mated: (N,) true where both sides are one person.
        identity_left: (N,) the person on the left, any integers or strings.
        identity_right: (N,) the person on the right.
        fmr_targets: as for `fnmr_at_fmr`.
        folds: (N,) fold of each pair, for the interval of `k_fold_accuracy` on the papers' thresholds. The shares of
            mated and non-mated pairs are kept.
        num_replicates: 1,000 settle a 95 % interval's ends to a few per cent of its width.
        confidence: between 0 and 1.
        seed: of the draws; the same seed gives the same intervals, in any pair order.

    Raises:
        InputError: scores that `sort_scores` refuses, lengths that differ, fewer than two identities, or so few that no
            replicate holds both kinds of pairs.
    """
    normal_quantile(confidence)  # refuses what is outside (0, 1)
    values, is_mated = checked(scores, mated)
    pairs = OrderedPairs(values, is_mated, *numbered(identity_left, identity_right, len(values)))
    statistics: list[Callable[[Resample], Array]] = [
        _EqualErrorRate(pairs, float(equal_error_rate(values, is_mated).threshold))
    ]
    targets = [fmr for fmr in fmr_targets if fmr_support(len(pairs.left), fmr) != "refused"]
    thresholds = [fnmr_at_fmr(values, is_mated, fmr=fmr).threshold for fmr in targets]
    statistics += [_FnmrAtFmr(pairs, fmr, threshold) for fmr, threshold in zip(targets, thresholds, strict=True)]
    fixed = [_FmrAtThreshold(pairs, threshold) for threshold in thresholds]
    statistics += fixed
    if folds is not None:
        statistics.append(_Accuracy(pairs, values, is_mated, np.asarray(folds)))
    results = [np.stack([one(drawn) for one in statistics], 1) for drawn in pairs.replicates(seed, num_replicates)]
    if not results:
        raise InputError(
            f"{pairs.num_people} identities are too few for a bootstrap: no replicate held both kinds of pairs."
        )
    found = np.concatenate(results)
    intervals = expanded_percentiles(found, confidence, pairs.num_people)
    return BootstrapIntervals(
        equal_error_rate=intervals[0],
        fnmr_at_fmr=dict(zip(targets, intervals[1:], strict=False)),
        fmr_at_threshold=dict(zip(targets, intervals[1 + len(targets) :], strict=False)),
        fmr_design_effect={fmr: one.design_effect for fmr, one in zip(targets, fixed, strict=True)},
        accuracy_variance=float(found[:, -1].var()) if folds is not None else None,
        num_identities=pairs.num_people,
        num_replicates=len(found),
    )


class _Curve:
    """FMR and FNMR of R replicates, each at a distinct threshold of its own, given by number (R,)."""

    def __init__(self, pairs: OrderedPairs, threshold: float | None) -> None:
        assert threshold is not None  # targets without an operating point were left out
        self.pairs = pairs
        self.matches = (pairs.non_mated_scores >= threshold).astype(np.float64)
        self.tempering = pairs.tempering(self.matches)

    def fnmr(self, resample: Resample, point: Array) -> Array:
        sums, rows = resample.mated_sums, np.arange(len(resample.mated_sums))
        return np.asarray(sums[rows, self.pairs.mated_below[point]] / sums[:, -1])

    def fmr(self, resample: Resample, point: Array) -> Array:
        sums, rows, below = resample.non_mated_sums, np.arange(len(resample.mated_sums)), self.pairs.non_mated_below
        observed = 1 - below[point] / len(self.pairs.left)
        product = 1 - sums[rows, below[point]] / sums[:, -1]
        return np.asarray((1 - self.tempering) * observed + self.tempering * product)

    def first(self, holds: Callable[[Array], Array], num_rows: int) -> Array:
        """Return (R,) the first threshold for which a condition holds that once true stays true; else the last."""
        low = np.zeros(num_rows, np.int64)
        high = np.full(num_rows, len(self.pairs.mated_below) - 1)
        while (searching := low < high).any():
            middle = (low + high) // 2
            true = holds(middle)
            high = np.where(searching & true, middle, high)
            low = np.where(searching & ~true, middle + 1, low)
        return np.asarray(low)


class _EqualErrorRate(_Curve):
    def __call__(self, resample: Resample) -> Array:
        def surplus(point: Array) -> Array:
            return np.asarray(self.fnmr(resample, point) - self.fmr(resample, point))

        upper = self.first(lambda point: surplus(point) >= 0, len(resample.mated))
        above, below = surplus(upper), surplus(upper - 1)  # upper > 0: at the lowest score the surplus is -1
        low, high = self.fnmr(resample, upper - 1), self.fnmr(resample, upper)
        return np.asarray(low - below / (above - below) * (high - low))


class _FnmrAtFmr(_Curve):
    def __init__(self, pairs: OrderedPairs, target: float, threshold: float | None) -> None:
        super().__init__(pairs, threshold)
        self.target = target + 1e-12  # sums of shares carry rounding

    def __call__(self, resample: Resample) -> Array:
        within = self.first(lambda point: self.fmr(resample, point) <= self.target, len(resample.mated))
        return self.fnmr(resample, within)


class _FmrAtThreshold(_Curve):
    def __init__(self, pairs: OrderedPairs, threshold: float | None) -> None:
        super().__init__(pairs, threshold)
        self.point = np.searchsorted(pairs.thresholds, pairs.thresholds.dtype.type(threshold))
        self.design_effect = pairs.design_effect(self.matches)

    def __call__(self, resample: Resample) -> Array:
        return self.fmr(resample, np.full(len(resample.mated), self.point))


class _Accuracy:
    """K-fold accuracy on the papers' thresholds, each fold's chosen again on the weights of the other folds."""

    def __init__(self, pairs: OrderedPairs, scores: Array, mated: Array, folds: Array) -> None:
        fold_of_pair = np.unique(folds, return_inverse=True)[1]
        # Only thresholds from which on some pair matches: between them nothing changes, and the first of equals counts.
        starts, step = np.unique(np.append(first_match(scores), 0), return_inverse=True)
        self.pairs, self.shape = pairs, (int(fold_of_pair.max()) + 1, len(starts))
        self.num_thresholds = int(np.searchsorted(starts, len(GRID)))  # a pair beyond the last one never matches
        cell = fold_of_pair * len(starts) + step[:-1]
        self.mated, self.non_mated = (
            csr_matrix(
                (np.ones(len(order)), (cell[order], np.arange(len(order)))), (self.shape[0] * self.shape[1], len(order))
            )
            for order in (pairs.mated_order, pairs.non_mated_order)
        )
        correct = k_fold_decisions(scores, mated, folds).correct
        self.tempering = pairs.tempering(correct[pairs.non_mated_order].astype(np.float64))

    def __call__(self, resample: Resample) -> Array:
        mated = resample.mated * (len(self.pairs.person) / resample.mated_sums[:, -1:])
        return self.of(mated, self.pairs.tempered(resample, self.tempering))

    def of(self, mated: Array, non_mated: Array) -> Array:
        """Return (R,) accuracies with these weights of the pairs, (R, M) and (R, N) in score order."""
        gained, lost = (
            (cells @ weight.T).reshape(*self.shape, len(weight))
            for cells, weight in ((self.mated, mated), (self.non_mated, non_mated))
        )
        rising = np.cumsum(gained - lost, axis=1)[:, : self.num_thresholds]
        right = rising + lost.sum(axis=1, keepdims=True)  # (folds, thresholds, R)
        best = np.argmax(right.sum(axis=0) - right, axis=1)  # (folds, R), the first maximum over the other folds
        chosen = np.take_along_axis(right, best[:, None], axis=1).sum(axis=(0, 1))
        return np.asarray(chosen / (mated.sum(axis=1) + non_mated.sum(axis=1)))
