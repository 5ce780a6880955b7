"""The score at a false match rate, with an interval of the score itself: what other people would have asked for.

`fnmr_at_fmr` gives a threshold and says how often it fails. Who puts the threshold into a card also wants to know how
far the score would move on another set of people of the same size. Two intervals, the wider of them at each end:

- Wilson's, turned around: a score is inside while the interval of the FMR seen at it holds the target. Pairs that share
  people count for less: as many as there are, divided by the design effect of the matches at the threshold;
- the percentiles of the scores found in replicates that draw the people anew (`bootstrap.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.metrics.drawn_pairs import OrderedPairs, numbered
from marginface.metrics.extreme_value import FEWEST_EXCESSES, Tail, fit_tail, score_interval
from marginface.metrics.intervals import Interval, wilson
from marginface.metrics.sorted_scores import checked
from marginface.metrics.support import comparisons_needed, shortfall_sentence
from marginface.metrics.verification import ERRORS_NEEDED, Support, fmr_support, most_within

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ThresholdEstimate:
    """A score for a target FMR and all it rests on."""

    target_fmr: float
    support: Support
    """What the comparisons can carry at this rate; "thin" and "refused" are not enough to decide by."""
    score: float | None
    """A match is `score >= threshold`; None where the data cannot support the rate and nothing was extrapolated."""
    low: float | None
    """95 % interval of the score."""
    high: float | None
    achieved_fmr: float | None
    """Share of the non-mated comparisons at or above the score."""
    fnmr: float | None
    """Share of the mated comparisons below the score."""
    fnmr_interval: Interval | None
    """Wilson's, at this score."""
    tail: Tail | None
    """The fitted tail, where the score was extrapolated."""
    shortfall: str
    """Why the data cannot support the rate and what would; empty where they can."""
    num_mated: int
    num_non_mated: int
    num_identities: int

    @property
    def extrapolated(self) -> bool:
        """Whether the score was read from a fitted tail."""
        return self.tail is not None


def thresholds_at_fmr(
    scores: npt.ArrayLike,
    mated: npt.ArrayLike,
    identity_left: npt.ArrayLike,
    identity_right: npt.ArrayLike,
    *,
    fmr_targets: Sequence[float],
    extrapolate: bool = False,
    num_replicates: int = 500,
    seed: int = 0,
) -> tuple[ThresholdEstimate, ...]:
    """Return the threshold at each target FMR, where the comparisons support it or a tail is fitted for it.

    Supported means 30 expected false matches. Below, only `extrapolate` gives a score: that of a generalised Pareto
    distribution over the highest non-mated scores.

    Args:
        scores: (P,) higher is more alike.
        mated: (P,) true where both sides are one person.
        identity_left: (P,) the person on the left.
        identity_right: (P,) the person on the right.
        fmr_targets: each between 0 and 1.
        extrapolate: fit a tail for rates that the comparisons do not support.
        num_replicates: resamplings of the people.
        seed: of the resampling.

    Raises:
        InputError: scores that `sort_scores` refuses, fewer than two people, or a tail that cannot be fitted.
    """
    values, is_mated = checked(scores, mated)
    people = numbered(identity_left, identity_right, len(values))
    pairs = OrderedPairs(values, is_mated, *people)
    num_non_mated = len(pairs.left)
    finders: dict[float, Callable[[Array], float]] = {}
    for fmr in fmr_targets:
        if fmr_support(num_non_mated, fmr) == "supported":
            finders[fmr] = _Observed(pairs, fmr)
        elif extrapolate:
            finders[fmr] = _Extrapolated(pairs, fmr)
    once = np.ones(num_non_mated)
    found = {fmr: finder(once) for fmr, finder in finders.items()}
    replicates = _replicates(pairs, finders, found, num_replicates, seed)
    return tuple(_estimate(pairs, fmr, finders, found, replicates) for fmr in fmr_targets)


def lower_threshold(mated_scores: npt.ArrayLike, *, fnmr: float) -> float:
    """Return the highest observed score below which at most a share `fnmr` of the mated comparisons lie.

    Raises:
        InputError: fewer than 30 errors are to be expected, so that the mated comparisons cannot support the rate.
    """
    ordered = np.sort(np.asarray(mated_scores))
    if fmr_support(len(ordered), fnmr) != "supported":
        raise InputError(
            f"{len(ordered):,} mated comparisons cannot support FNMR {fnmr:g}: {len(ordered) * fnmr:.3g} errors are to "
            f"be expected, {ERRORS_NEEDED} are needed. {comparisons_needed(fnmr):,} comparisons would do; these "
            f"support FNMR {ERRORS_NEEDED / len(ordered):.2g}."
        )
    return float(ordered[most_within(fnmr, len(ordered))])


class _Observed:
    """The lowest observed score whose weighted FMR does not exceed the target."""

    def __init__(self, pairs: OrderedPairs, fmr: float) -> None:
        self.pairs, self.fmr = pairs, fmr

    def __call__(self, weight: Array) -> float:
        return self.pairs.next_above(self.pairs.highest_refused(weight, self.fmr))

    def interval(self) -> tuple[float, float]:
        """Return the lowest and the highest score whose FMR could be the target, as Wilson's interval has it."""
        ordered, num = self.pairs.non_mated_scores, len(self.pairs.left)
        effect = self.pairs.design_effect((ordered >= self(np.ones(num))).astype(np.float64))
        counts = _around(self.fmr, num, effect)
        fits = [count for count in counts if self.fmr in wilson(count / effect, num / effect)]
        return float(ordered[num - max(fits)]), float(ordered[num - max(min(fits), 1)])


class _Extrapolated:
    """The score of the target rate in the fitted tail, which begins far above any rate that is not supported."""

    def __init__(self, pairs: OrderedPairs, fmr: float) -> None:
        self.pairs, self.fmr = pairs, fmr

    def __call__(self, weight: Array) -> float:
        return fit_tail(self.pairs.non_mated_scores, weight).score(self.fmr)

    def interval(self) -> tuple[float, float]:
        """Return the interval with scores taken as independent."""
        return score_interval(self.pairs.non_mated_scores, self.fmr)


def _around(fmr: float, num: int, effect: float) -> range:
    """Return counts of false matches among which all are whose Wilson intervals hold the rate."""
    expected, spread = fmr * num, 4 * (fmr * num * effect) ** 0.5 + 8 * effect
    return range(max(int(expected - spread), 0), min(int(expected + spread), num) + 1)


def _replicates(
    pairs: OrderedPairs, finders: dict[float, Callable[[Array], float]], found: dict[float, float], num: int, seed: int
) -> dict[float, Array]:
    temperings = {
        fmr: pairs.tempering((pairs.non_mated_scores >= _inside(pairs, score)).astype(np.float64))
        for fmr, score in found.items()
    }
    scores: dict[float, list[float]] = {fmr: [] for fmr in finders}
    for number in range(num if finders else 0):
        resample = pairs.replicate(seed, number)
        if resample is None:
            continue
        for fmr, finder in finders.items():
            scores[fmr].append(finder(pairs.tempered(resample, temperings[fmr])))
    return {fmr: np.array(values) for fmr, values in scores.items()}


def _inside(pairs: OrderedPairs, score: float) -> float:
    """Return the score, or one low enough to see who shares the highest comparisons, where it lies beyond them."""
    return min(score, float(pairs.non_mated_scores[-min(FEWEST_EXCESSES, len(pairs.left))]))


def _estimate(
    pairs: OrderedPairs,
    fmr: float,
    finders: dict[float, Callable[[Array], float]],
    found: dict[float, float],
    replicates: dict[float, Array],
) -> ThresholdEstimate:
    num_mated, num_non_mated = len(pairs.mated_scores), len(pairs.left)
    score = low = high = achieved = fnmr = interval = tail = None
    if fmr in finders:
        finder, score = finders[fmr], found[fmr]
        assert isinstance(finder, _Observed | _Extrapolated)
        ends = np.array([finder.interval(), np.quantile(replicates[fmr], [0.025, 0.975])])
        low, high = float(ends[:, 0].min()), float(ends[:, 1].max())
        achieved = float((pairs.non_mated_scores >= score).mean())
        missed = int((pairs.mated_scores < score).sum())
        fnmr, interval = missed / num_mated, wilson(missed, num_mated)
        tail = fit_tail(pairs.non_mated_scores) if isinstance(finder, _Extrapolated) else None
    return ThresholdEstimate(
        target_fmr=fmr,
        support=fmr_support(num_non_mated, fmr),
        score=score,
        low=low,
        high=high,
        achieved_fmr=achieved,
        fnmr=fnmr,
        fnmr_interval=interval,
        tail=tail,
        shortfall=shortfall_sentence(num_non_mated, fmr),
        num_mated=num_mated,
        num_non_mated=num_non_mated,
        num_identities=pairs.num_people,
    )
