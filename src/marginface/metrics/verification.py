"""Verification: how often two images of different people match, and two of the same person do not.

Convention, everywhere: scores are similarities, a match is `score >= threshold`;
FMR = share of non-mated scores that match, FNMR = share of mated scores that do not.
Each function takes `(scores, mated)`, or what `sort_scores` made of them once where several numbers are wanted.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.metrics.intervals import Interval, wilson
from marginface.metrics.sorted_scores import SortedScores, sort_scores

Support = Literal["supported", "thin", "refused"]

ERRORS_NEEDED = 30
"""Rule of 30 (ISO/IEC 19795-1): 30 errors fix a rate to +-30 % of itself with 90 % confidence."""
ERRORS_BOUNDED = 3
"""Rule of 3: without any error in N trials the 95 % upper bound is 3 / N; below that the data say nothing."""


@dataclass(frozen=True, eq=False)
class DetCurve:
    """Both error counts at every threshold where they change, thresholds ascending (K,)."""

    thresholds: npt.NDArray[np.floating]
    false_matches: npt.NDArray[np.int64]
    """Non-mated scores >= threshold; from num_non_mated down to 0."""
    false_non_matches: npt.NDArray[np.int64]
    """Mated scores < threshold; from 0 up to num_mated."""
    num_mated: int
    num_non_mated: int

    @property
    def fmr(self) -> npt.NDArray[np.float64]:
        return self.false_matches / self.num_non_mated

    @property
    def fnmr(self) -> npt.NDArray[np.float64]:
        return self.false_non_matches / self.num_mated

    def thinned(self, num_points: int = 1000) -> DetCurve:
        """Return at most `num_points` of the points, both ends among them, evenly spread on both logarithmic axes.

        Points are left out, none is moved: each that stays is exact. For drawing and for JSON.
        """
        if len(self.thresholds) <= num_points:
            return self
        each = max(num_points // 2 - 1, 1)
        by_fmr = np.searchsorted(-self.false_matches, -np.geomspace(self.num_non_mated, 1, each))
        by_fnmr = np.searchsorted(self.false_non_matches, np.geomspace(1, self.num_mated, each))
        last = len(self.thresholds) - 1
        keep = np.unique(np.concatenate([[0], by_fmr, by_fnmr, [last]]).clip(0, last))
        return DetCurve(
            self.thresholds[keep],
            self.false_matches[keep],
            self.false_non_matches[keep],
            self.num_mated,
            self.num_non_mated,
        )


@dataclass(frozen=True)
class OperatingPoint:
    """FNMR at a target FMR, with all it rests on. Everything but the counts of pairs is None where it is refused."""

    target_fmr: float
    support: Support
    num_mated: int
    num_non_mated: int
    expected_false_matches: float
    """`num_non_mated * target_fmr`: 30 support the rate, fewer than 3 are refused."""
    value: float | None
    """FNMR, 0..1."""
    threshold: float | None
    achieved_fmr: float | None
    """Never above `target_fmr`."""
    false_matches: int | None
    false_non_matches: int | None
    interval: Interval | None
    """Of the FNMR. Wilson treats the threshold as given and pairs as independent; `summarise` does better."""
    fmr_interval: Interval | None
    """Of the FMR of this threshold among other people: what a user of the threshold is exposed to.
    The threshold counts as given; it was chosen on these very pairs, so nominal 95 % hold some 90 % in simulation."""


@dataclass(frozen=True)
class EqualErrorRate:
    """Where FMR and FNMR are equal."""

    value: float
    threshold: float
    num_mated: int
    num_non_mated: int
    interval: Interval | None = None


@dataclass(frozen=True)
class BestAccuracy:
    """Accuracy at the threshold that suits these very pairs best: an optimistic number, an upper bound."""

    value: float
    threshold: float
    num_correct: int
    num_pairs: int


@dataclass(frozen=True, eq=False)
class ScoreHistogram:
    """Counts of mated and non-mated scores in common bins of equal width."""

    edges: npt.NDArray[np.float64]
    """(bins + 1,) in score units."""
    mated: npt.NDArray[np.int64]
    non_mated: npt.NDArray[np.int64]


def error_rates(scores: npt.ArrayLike | SortedScores, mated: npt.ArrayLike | None = None) -> DetCurve:
    """Return FMR and FNMR at every distinct score, and at a last threshold that nothing reaches.

    Example:
        >>> curve = error_rates([0.1, 0.4, 0.4, 0.9], [False, False, True, True])
        >>> curve.fmr.tolist(), curve.fnmr.tolist()
        ([1.0, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 1.0])
    """
    ordered = sort_scores(scores, mated)
    distinct = np.unique(np.concatenate([ordered.mated, ordered.non_mated]))
    thresholds = np.append(distinct, ordered.above_all)
    return DetCurve(
        thresholds,
        ordered.false_matches(thresholds),
        ordered.false_non_matches(thresholds),
        ordered.num_mated,
        ordered.num_non_mated,
    )


def fnmr_at_fmr(
    scores: npt.ArrayLike | SortedScores, mated: npt.ArrayLike | None = None, *, fmr: float, confidence: float = 0.95
) -> OperatingPoint:
    """Return the FNMR at the largest achieved FMR that does not exceed `fmr`. Papers print 1 - FNMR as TAR@FAR.

    Among thresholds with FMR <= `fmr` this takes the lowest, an observed score. (The usual scripts take the ROC point
    whose FMR is *nearest*, which may lie above what was asked for.) Tied non-mated scores fall together, so the
    achieved FMR may lie well below the target; it is part of the result.

    Args:
        fmr: the target, between 0 and 1.
        confidence: of the Wilson interval.

    Raises:
        InputError: `fmr` outside (0, 1), or scores that `sort_scores` refuses.

    Example:
        >>> point = fnmr_at_fmr([0.1, 0.2, 0.3, 0.4, 0.35, 0.9], [0, 0, 0, 0, 1, 1], fmr=0.9)
        >>> point.value, point.achieved_fmr, point.false_matches, point.threshold, point.support
        (0.0, 0.75, 3, 0.2, 'thin')
    """
    ordered = sort_scores(scores, mated)
    support = fmr_support(ordered.num_non_mated, fmr)
    expected = _expected(ordered.num_non_mated, fmr)
    counts = (ordered.num_mated, ordered.num_non_mated, expected)
    if support == "refused":
        return OperatingPoint(fmr, support, *counts, None, None, None, None, None, None, None)
    allowed = most_within(fmr, ordered.num_non_mated)
    too_low = ordered.non_mated[ordered.num_non_mated - allowed - 1]  # the best non-mated score that may not match
    threshold = ordered.next_above(too_low)
    false_matches = int(ordered.false_matches(threshold))
    false_non_matches = int(ordered.false_non_matches(threshold))
    return OperatingPoint(
        fmr,
        support,
        *counts,
        value=false_non_matches / ordered.num_mated,
        threshold=float(threshold),
        achieved_fmr=false_matches / ordered.num_non_mated,
        false_matches=false_matches,
        false_non_matches=false_non_matches,
        interval=wilson(false_non_matches, ordered.num_mated, confidence),
        fmr_interval=wilson(false_matches, ordered.num_non_mated, confidence),
    )


def fmr_support(num_non_mated: int, fmr: float) -> Support:
    """Return whether this many non-mated comparisons can carry an FMR: "supported", "thin" or "refused".

    Example:
        >>> [fmr_support(3000, fmr) for fmr in (1e-2, 1e-3, 1e-4)]
        ['supported', 'thin', 'refused']
    """
    if not 0 < fmr < 1:
        raise InputError(f"A target FMR must lie between 0 and 1, got {fmr}.")
    expected = _expected(num_non_mated, fmr)
    if expected < ERRORS_BOUNDED:
        return "refused"
    return "thin" if expected < ERRORS_NEEDED else "supported"


def equal_error_rate(scores: npt.ArrayLike | SortedScores, mated: npt.ArrayLike | None = None) -> EqualErrorRate:
    """Return the equal error rate: FMR = FNMR on the line between the two straddling points of the curve.

    With few pairs the rates jump past each other; the two neighbouring thresholds' points are joined by a straight line
    and the value and the threshold are read where the rates cross. (Others take the mean of both rates at the nearest
    point.) Scores that are all equal give 0.5.

    Example:
        >>> equal_error_rate([0.1, 0.4, 0.4, 0.9], [False, False, True, True]).value
        0.25
    """
    ordered = sort_scores(scores, mated)
    num_mated, num_non_mated = ordered.num_mated, ordered.num_non_mated

    def surplus(threshold: np.floating) -> int:  # FNMR - FMR in units of 1 / (mated * non-mated): exact
        missed, matched = int(ordered.false_non_matches(threshold)), int(ordered.false_matches(threshold))
        return missed * num_non_mated - matched * num_mated

    upper = ordered.above_all  # the lowest threshold with FNMR >= FMR, among the scores of both kinds
    for side in (ordered.mated, ordered.non_mated):
        position = bisect_left(side, 0, key=surplus)
        if position < len(side):
            upper = min(upper, side[position])
    lower = ordered.next_below(upper)  # exists: at the lowest score FMR is 1 and FNMR 0
    above, below = surplus(upper), surplus(lower)
    share = -below / (above - below)
    fnmr_low, fnmr_high = (int(ordered.false_non_matches(t)) / num_mated for t in (lower, upper))
    value = fnmr_high if above == 0 else fnmr_low + share * (fnmr_high - fnmr_low)
    threshold = float(upper) if above == 0 else float(lower) + share * (float(upper) - float(lower))
    return EqualErrorRate(value, threshold, num_mated, num_non_mated)


def area_under_roc(scores: npt.ArrayLike | SortedScores, mated: npt.ArrayLike | None = None) -> float:
    """Return the chance that a mated score exceeds a non-mated one, a tie counting half (Mann-Whitney, trapezoids).

    Example:
        >>> area_under_roc([0.1, 0.4, 0.4, 0.9], [False, False, True, True])
        0.875
    """
    ordered = sort_scores(scores, mated)
    below = np.searchsorted(ordered.non_mated, ordered.mated, side="left").sum(dtype=np.int64)
    not_above = np.searchsorted(ordered.non_mated, ordered.mated, side="right").sum(dtype=np.int64)
    return (int(below) + int(not_above)) / (2 * ordered.num_mated * ordered.num_non_mated)


def d_prime(scores: npt.ArrayLike | SortedScores, mated: npt.ArrayLike | None = None) -> float | None:
    """Return d' = (mean mated - mean non-mated) / sqrt((variance mated + variance non-mated) / 2).

    Population variances. None where both variances are zero. A summary of two bells; tails, which decide FNMR at a low
    FMR, hardly move it.

    Example:
        >>> d_prime([0.0, 2.0, 4.0, 6.0], [False, False, True, True])
        4.0
    """
    ordered = sort_scores(scores, mated)
    spread = (ordered.mated.var(dtype=np.float64) + ordered.non_mated.var(dtype=np.float64)) / 2
    gap = ordered.mated.mean(dtype=np.float64) - ordered.non_mated.mean(dtype=np.float64)
    return float(gap / np.sqrt(spread)) if spread > 0 else None


def best_accuracy(scores: npt.ArrayLike | SortedScores, mated: npt.ArrayLike | None = None) -> BestAccuracy:
    """Return the highest share of right decisions that any threshold reaches on these pairs.

    Thresholds lie midway between neighbouring distinct scores; of several equally good ones the highest is taken (the
    lowest distance, as the papers' ten-fold code does). Tuned on what it judges; `k_fold_accuracy` is the fair number.

    Example:
        >>> best_accuracy([0.1, 0.4, 0.6, 0.9], [False, False, True, True])
        BestAccuracy(value=1.0, threshold=0.5, num_correct=4, num_pairs=4)
    """
    ordered = sort_scores(scores, mated)
    curve = error_rates(ordered)
    wrong = curve.false_matches + curve.false_non_matches
    best = len(wrong) - 1 - int(np.argmin(wrong[::-1]))
    threshold = curve.thresholds[best]
    if 0 < best < len(wrong) - 1:
        below = curve.thresholds[best - 1]
        midway = below + (threshold - below) / 2
        threshold = midway if midway > below else threshold  # neighbours in the floating type have no midpoint
    num_pairs = ordered.num_mated + ordered.num_non_mated
    num_correct = num_pairs - int(wrong[best])
    return BestAccuracy(num_correct / num_pairs, float(threshold), num_correct, num_pairs)


def score_histogram(
    scores: npt.ArrayLike | SortedScores, mated: npt.ArrayLike | None = None, *, num_bins: int = 100
) -> ScoreHistogram:
    """Return how many mated and non-mated scores fall into `num_bins` equal bins from the lowest to the highest score.

    Example:
        >>> score_histogram([0.0, 0.4, 0.6, 1.0], [False, False, True, True], num_bins=2).mated.tolist()
        [0, 2]
    """
    ordered = sort_scores(scores, mated)
    lowest = float(min(ordered.mated[0], ordered.non_mated[0]))
    highest = float(max(ordered.mated[-1], ordered.non_mated[-1]))
    mated_counts, edges = np.histogram(ordered.mated, bins=num_bins, range=(lowest, highest))
    non_mated_counts, _ = np.histogram(ordered.non_mated, bins=num_bins, range=(lowest, highest))
    return ScoreHistogram(edges, mated_counts, non_mated_counts)


def most_within(rate: float, trials: int) -> int:
    """Return the largest count with `count / trials <= rate`, whatever rounding does to `rate * trials`."""
    count = int(rate * trials)
    while (count + 1) / trials <= rate:
        count += 1
    while count / trials > rate:
        count -= 1
    return count


def _expected(num_non_mated: int, fmr: float) -> float:
    return round(num_non_mated * fmr, 6)  # 3000 * 0.001 is three, not a hair less
