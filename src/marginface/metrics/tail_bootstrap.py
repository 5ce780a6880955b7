"""The identity bootstrap for millions of comparisons: only the tail that thresholds lie in is resampled.

The same replicates as `bootstrap.py` (people drawn again, products of their times, drawn back by lambda) and the same
answers. What makes it quick: a low FMR is decided by the few highest non-mated scores. Below them only the replicate's
total weight counts, and that is a quadratic form in the people's times,

    total = sum over couples of people of n_ij m_i m_j = m' N m,   n_ij = non-mated comparisons of i and j,

computed for all replicates as one matrix product.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix

from marginface.errors import InputError
from marginface.metrics.bootstrap import BootstrapIntervals
from marginface.metrics.drawn_pairs import lambda_and_design_effect
from marginface.metrics.replicates import drawn_times, expanded_percentiles
from marginface.metrics.sorted_scores import SortedScores
from marginface.metrics.verification import equal_error_rate, fmr_support, fnmr_at_fmr

Array = npt.NDArray

MANY = 1_000_000
"""Comparisons from which this is used."""
REACH = 3.0
"""The tail holds this many times the non-mated scores that the loosest rate needs: replicates move thresholds."""
DENSE_PEOPLE = 8192
"""Up to here the couples' counts are a matrix (256 MB at most), beyond it a sparse one."""


def tail_bootstrap(
    scores: Array,
    mated: npt.NDArray[np.bool_],
    identity_left: npt.ArrayLike,
    identity_right: npt.ArrayLike,
    *,
    fmr_targets: Sequence[float] = (),
    num_replicates: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> BootstrapIntervals:
    """Return intervals of the EER and of the FNMR at each target FMR; arguments as in `identity_bootstrap`.

    Raises:
        InputError: so few people that no replicate holds both kinds of pairs.
    """
    left, right, num_people = _dense_numbers(identity_left, identity_right)
    ordered = SortedScores(np.sort(scores[mated]), np.sort(scores[~mated]))
    targets = [fmr for fmr in fmr_targets if fmr_support(ordered.num_non_mated, fmr) != "refused"]
    eer = equal_error_rate(ordered)
    share = min(1.0, REACH * max([eer.value, *targets]))
    kept = max(1, int(share * ordered.num_non_mated))
    tail = _Tail(scores, mated, left, right, ordered.non_mated[-kept], num_people)
    chosen = [fnmr_at_fmr(ordered, fmr=fmr).threshold or 0.0 for fmr in targets]
    times = np.stack([drawn_times(num_people, k, seed) for k in range(num_replicates)], axis=1)  # (P, R)
    totals = tail.totals(times)
    sharing = [tail.sharing(threshold) for threshold in (eer.threshold, *chosen)]
    tempering, effects = [one for one, _ in sharing], [effect for _, effect in sharing[1:]]
    reached = [tail.num_reaching(threshold) for threshold in chosen]
    results = []
    for replicate in range(num_replicates):
        drawn = tail.replicate(times[:, replicate], float(totals[replicate]))
        if drawn is None:
            continue
        found = [drawn.equal_error_rate(tempering[0])]
        found += [drawn.fnmr_at(target, one) for target, one in zip(targets, tempering[1:], strict=True)]
        found += [float(drawn.fmr(one)[k]) for k, one in zip(reached, tempering[1:], strict=True)]
        results.append(found)
    if not results:
        raise InputError(f"{num_people} identities are too few for a bootstrap: no replicate held both kinds of pairs.")
    intervals = expanded_percentiles(np.array(results), confidence, num_people)
    return BootstrapIntervals(
        equal_error_rate=intervals[0],
        fnmr_at_fmr=dict(zip(targets, intervals[1:], strict=False)),
        fmr_at_threshold=dict(zip(targets, intervals[1 + len(targets) :], strict=False)),
        fmr_design_effect=dict(zip(targets, effects, strict=True)),
        accuracy_variance=None,
        num_identities=num_people,
        num_replicates=len(results),
    )


@dataclass(frozen=True, eq=False)
class _Drawn:
    """A replicate: how its rates run down the tail."""

    product: Array
    """(K + 1,) share of the weight of the k highest non-mated scores."""
    observed: Array
    """(K + 1,) their share of the comparisons."""
    mated_below: Array
    """(M + 1,) share of the weight of the k lowest mated scores."""
    tail: _Tail

    def fmr(self, tempering: float) -> Array:
        """Return (K + 1,) FMR when the k highest non-mated scores match, drawn back towards the observed one."""
        return (1 - tempering) * self.observed + tempering * self.product

    def fnmr_at(self, target: float, tempering: float) -> float:
        allowed = int(np.searchsorted(self.fmr(tempering), target + 1e-12, side="right")) - 1
        return self._fnmr(allowed)

    def equal_error_rate(self, tempering: float) -> float:
        fmr = self.fmr(tempering)
        k = bisect_left(range(len(fmr) - 1), 0.0, key=lambda k: float(fmr[k]) - self._fnmr(k))
        return (float(fmr[k]) + self._fnmr(min(k, len(self.tail.scores) - 1))) / 2

    def _fnmr(self, allowed: int) -> float:
        """Return the weight of the mated scores that do not exceed the best non-mated one that may not match."""
        place = self.tail.mated_not_above[min(allowed, len(self.tail.scores) - 1)]
        return float(self.mated_below[place])


class _Tail:
    """The highest non-mated scores, descending, with their people; all mated ones; counts of everything else."""

    def __init__(
        self, scores: Array, mated: Array, left: Array, right: Array, lowest: np.floating, num_people: int
    ) -> None:
        members = np.flatnonzero(~mated & (scores >= lowest))
        members = members[np.argsort(-scores[members], kind="stable")]
        self.scores, self.left, self.right = scores[members], left[members], right[members]
        mates = np.flatnonzero(mated)
        mates = mates[np.argsort(scores[mates], kind="stable")]
        self.person = left[mates]
        self.mated_not_above = np.searchsorted(scores[mates], self.scores, side="right")
        others = ~mated
        self.num_people, self.num_non_mated = num_people, int(others.sum())
        one, other = np.minimum(left[others], right[others]), np.maximum(left[others], right[others])
        if num_people <= DENSE_PEOPLE:
            codes = one.astype(np.int64) * num_people + other
            self.couples = np.bincount(codes, minlength=num_people**2).reshape(num_people, num_people)
            self.couples = self.couples.astype(np.float32)
            self.of_person = self.couples.sum(axis=0, dtype=np.float64) + self.couples.sum(axis=1, dtype=np.float64)
            self.squares = float(np.square(self.couples, dtype=np.float64).sum())
        else:
            made = coo_matrix((np.ones(len(one), np.float32), (one, other)), shape=(num_people, num_people)).tocsr()
            self.couples = made
            self.of_person = np.asarray(made.sum(axis=0)).ravel() + np.asarray(made.sum(axis=1)).ravel()
            self.squares = float(np.square(made.data, dtype=np.float64).sum())

    def totals(self, times: Array) -> Array:
        """Return (R,) the weight of all non-mated comparisons in each replicate, given times (P, R)."""
        found = np.empty(times.shape[1])
        for start in range(0, times.shape[1], 128):
            part = times[:, start : start + 128].astype(np.float32)
            found[start : start + 128] = (part * (self.couples @ part)).sum(axis=0, dtype=np.float64)
        return found

    def replicate(self, times: Array, total: float) -> _Drawn | None:
        weight = times[self.person].astype(np.float64)
        if total == 0 or weight.sum() == 0:
            return None
        product = np.zeros(len(self.scores) + 1)
        np.cumsum(times[self.left] * times[self.right], out=product[1:], dtype=np.float64)
        below = np.zeros(len(weight) + 1)
        np.cumsum(weight, out=below[1:])
        observed = np.arange(len(product)) / self.num_non_mated
        return _Drawn(product / total, observed, below / below[-1], self)

    def num_reaching(self, threshold: float) -> int:
        """Return how many non-mated scores reach a threshold."""
        bar = self.scores.dtype.type(threshold)
        return int(np.searchsorted(-self.scores, -bar, side="right"))

    def sharing(self, threshold: float) -> tuple[float, float]:
        """Return lambda of `bootstrap.py` and the design effect of `drawn_pairs.py` for the matches at a threshold."""
        reached = self.num_reaching(threshold)
        rate = reached / self.num_non_mated
        left, right = self.left[:reached], self.right[:reached]
        matches = sum(np.bincount(side, minlength=self.num_people) for side in (left, right))
        a = float(np.square(matches - rate * self.of_person).sum())
        codes = np.minimum(left, right).astype(np.int64) * self.num_people + np.maximum(left, right)
        couple, hits = np.unique(codes, return_counts=True)
        one, other = np.divmod(couple, self.num_people)
        of_couple = np.asarray(self.couples[one, other], np.float64).ravel()
        b = float(np.square(hits).sum() - 2 * rate * (hits * of_couple).sum() + rate**2 * self.squares)
        return lambda_and_design_effect(a, b, reached * (1 - rate))


def _dense_numbers(left: npt.ArrayLike, right: npt.ArrayLike) -> tuple[Array, Array, int]:
    """Return people as 0..P-1 on either side, and P; small integers are numbered without sorting."""
    sides = [np.asarray(side) for side in (left, right)]
    if all(side.dtype.kind in "iu" and len(side) and side.min() >= 0 and side.max() < MANY for side in sides):
        used = np.zeros(int(max(side.max() for side in sides)) + 1, np.bool_)
        for side in sides:
            used[side] = True
        number = np.cumsum(used, dtype=np.int32) - 1
        return number[sides[0]], number[sides[1]], int(used.sum())
    names, numbers = np.unique(np.concatenate(sides), return_inverse=True)
    return numbers[: len(sides[0])], numbers[len(sides[0]) :], len(names)
