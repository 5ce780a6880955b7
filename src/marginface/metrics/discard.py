"""Error versus discard (EDC): how many true pairs are still refused once the images of lowest quality are left out.

A quality score is good if the pairs that it would leave out are those that the recogniser gets wrong. So: sort the
mated comparisons by their quality, leave out the lowest share r, and count the FNMR of the rest at a fixed FMR.

    q(pair) = min(q(left), q(right))         Grother and Tabassi, PAMI 2007
    FNMR(r) = errors left / comparisons left

Two conventions for the threshold, which answer two questions and do not compare with each other:

- "fixed": found once, on all pairs, as a system in service has it (ISO/IEC 29794-1's curve). Leaving out pairs can then
  change FNMR only.
- "retuned": found anew at each r on the non-mated pairs that are left, those of quality above the same cut (as MagFace
  and SER-FIQ draw it). It mixes two effects: fewer errors, and fewer strangers to be told apart.

r is the share of *mated* comparisons left out. Comparisons of equal quality leave together in the mean: within a tie
errors and comparisons leave in proportion, which is what leaving them in random order gives on average. So a score
that says the same of every image draws the level line of random discarding.

Bounds: discarding at random keeps FNMR(0); ideal discarding takes the errors first, (FNMR(0) - r) / (1 - r) down to 0.
A quality of single images can hardly reach the ideal, for it does not know which pair an image will meet.

`errors_versus_discard` draws the same curve of anything whose errors are known one by one, such as searches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.metrics.drawn_pairs import OrderedPairs, numbered
from marginface.metrics.intervals import Interval, wilson
from marginface.metrics.replicates import drawn_times
from marginface.metrics.sorted_scores import checked
from marginface.metrics.verification import ERRORS_BOUNDED, fmr_support, fnmr_at_fmr

Array = npt.NDArray[np.float64]
Rule = Literal["fixed", "retuned"]

STEPS = np.arange(96) / 100
"""Shares of the mated comparisons left out, 0 to 95 %."""


@dataclass(frozen=True, eq=False)
class DiscardCurve:
    """One EDC with its bounds, its band and its partial area."""

    rule: Rule
    target_fmr: float | None
    """None where errors were given rather than found by a threshold."""
    discarded: Array
    """(G,) share of the mated comparisons left out."""
    fnmr: Array
    """(G,) of the comparisons left; NaN where fewer than 3 false matches are to be expected (only "retuned")."""
    low: Array
    """(G,) band: at each end the wider of Wilson's and of the bootstrap over identities, as a table's intervals."""
    high: Array
    threshold: Array
    """(G,) score from which a comparison matches; NaN where errors were given."""
    ideal: Array
    """(G,) the lowest FNMR that any order of discarding could reach at the fixed threshold."""
    area_limit: float
    """Up to which share the area counts."""
    area: float | None
    """Mean FNMR over 0..area_limit; None where the curve does not reach that far."""
    area_interval: Interval | None
    gain: float | None
    """(random - area) / (random - ideal area): 1 is ideal, 0 random, below 0 worse than random. None where no order
    does better than another: without errors, or with errors only."""
    num_mated: int
    """Comparisons, or searches, that could be refused wrongly."""
    num_non_mated: int
    num_replicates: int
    """Of the bootstrap; 0 where the band is Wilson's alone, which takes pairs for independent."""
    replicate_areas: Array
    """(R,) areas of the replicates; of two curves over the same pairs and seed they belong together one by one."""

    @property
    def random(self) -> float:
        """FNMR of discarding at random: a level line."""
        return float(self.fnmr[0])


def pair_quality(left: npt.ArrayLike, right: npt.ArrayLike) -> Array:
    """Return the quality of each comparison: that of the worse of its two images."""
    return np.minimum(np.asarray(left, np.float64), np.asarray(right, np.float64))


def error_versus_discard(
    scores: npt.ArrayLike,
    mated: npt.ArrayLike,
    quality: npt.ArrayLike,
    *,
    fmr: float = 1e-2,
    rule: Rule = "fixed",
    identity_left: npt.ArrayLike | None = None,
    identity_right: npt.ArrayLike | None = None,
    area_limit: float = 0.2,
    num_replicates: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> DiscardCurve:
    """Return the error versus discard curve of one quality score.

    Args:
        scores: (P,) similarities, higher is more alike.
        mated: (P,) true where both sides are one person.
        quality: (P,) of the comparisons (`pair_quality`), higher is better.
        fmr: false match rate at which FNMR is counted.
        rule: whether the threshold stays or is found anew, see above.
        identity_left: (P,) the person on the left; without both there is no bootstrap.
        identity_right: (P,) the person on the right.
        area_limit: up to which share of discarded comparisons the area counts, a hundredth at least.
        num_replicates: resamplings of the people; in each the threshold is found again, so its noise is in the band.
        confidence: of the band and of the area's interval.
        seed: of the resampling.

    Raises:
        InputError: scores that `sort_scores` refuses, a quality that is not finite, too few non-mated pairs for the
            FMR, or an area limit outside 0.01..0.95.
    """
    values, is_mated = checked(scores, mated)
    goodness = _checked_quality(quality, values.shape, area_limit)
    num_non_mated = int((~is_mated).sum())
    if fmr_support(num_non_mated, fmr) == "refused":
        raise InputError(
            f"{num_non_mated:,} non-mated pairs cannot support FMR {fmr:g}: no error versus discard curve can be drawn "
            f"at it; {int(np.ceil(ERRORS_BOUNDED / fmr)):,} are the least, or take a higher FMR."
        )
    with_people = identity_left is not None and identity_right is not None
    if rule == "fixed" and not (with_people and num_replicates):  # nothing to draw again: a sort, for IJB-C's millions
        point = fnmr_at_fmr(values, is_mated, fmr=fmr)
        assert point.threshold is not None  # the FMR is supported
        known = errors_versus_discard(
            values[is_mated] < point.threshold,
            goodness[is_mated],
            area_limit=area_limit,
            num_replicates=0,
            confidence=confidence,
        )
        threshold = np.full(len(STEPS), point.threshold, np.float64)
        return replace(known, target_fmr=fmr, threshold=threshold, num_non_mated=num_non_mated)
    left, right = (
        numbered(identity_left, identity_right, len(values))  # type: ignore[arg-type]
        if with_people
        else np.arange(2 * len(values)).reshape(2, -1)
    )
    sides = _Sides(OrderedPairs(values, is_mated, left, right), goodness, fmr, rule)
    fnmr, threshold = sides.curve(np.ones(len(sides.mated_score)), np.ones(len(sides.non_mated_score)))
    base = fnmr_at_fmr(values, is_mated, fmr=fmr)
    tempering = sides.pairs.tempering((sides.non_mated_score >= base.threshold).astype(np.float64))
    replicates = np.array(
        [
            sides.curve(resample.mated, sides.pairs.tempered(resample, tempering))[0]
            for number in range(num_replicates if with_people else 0)
            if (resample := sides.pairs.replicate(seed, number)) is not None
        ]
    ).reshape(-1, len(STEPS))
    return _curve_of(
        fnmr,
        threshold,
        replicates,
        rule=rule,
        target_fmr=fmr,
        num_mated=len(sides.mated_score),
        num_non_mated=num_non_mated,
        area_limit=area_limit,
        confidence=confidence,
    )


def errors_versus_discard(
    errors: npt.ArrayLike,
    quality: npt.ArrayLike,
    *,
    person: npt.ArrayLike | None = None,
    area_limit: float = 0.2,
    num_replicates: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> DiscardCurve:
    """Return the curve of things whose errors are known one by one: searches that miss the person they are for.

    Whatever threshold the errors come from stays, also in the replicates.

    Args:
        errors: (M,) true where one went wrong.
        quality: (M,) higher is better.
        person: (M,) whose they are; without it there is no bootstrap.
        area_limit: up to which share left out the area counts, a hundredth at least.
        num_replicates: resamplings of the people.
        confidence: of the band and of the area's interval.
        seed: of the resampling.

    Raises:
        InputError: nothing at all, a quality that is missing or not finite, or an area limit outside 0.01..0.95.
    """
    wrong = np.asarray(errors, np.float64)
    if not len(wrong):
        raise InputError("Error versus discard needs at least one mated search or comparison.")
    order = _ByQuality(_checked_quality(quality, wrong.shape, area_limit))
    replicates = []
    if person is not None:
        people, number = np.unique(np.asarray(person), return_inverse=True)
        draws = (drawn_times(len(people), k, seed)[number].astype(np.float64) for k in range(num_replicates))
        replicates = [_share_left(order.sums(times), order.sums(times * wrong)) for times in draws if times.any()]
    return _curve_of(
        _share_left(order.sums(np.ones(len(wrong))), order.sums(wrong)),
        np.full(len(STEPS), np.nan),
        np.array(replicates).reshape(-1, len(STEPS)),
        rule="fixed",
        target_fmr=None,
        num_mated=len(wrong),
        num_non_mated=0,
        area_limit=area_limit,
        confidence=confidence,
    )


def area_difference(one: DiscardCurve, other: DiscardCurve, *, confidence: float = 0.95) -> Interval | None:
    """Return the interval of `one.area - other.area`, paired by replicate; None where either has no replicates.

    Two curves over the same pairs go up and down together, so this tells them apart where their bands overlap.

    Raises:
        ValueError: the curves are not of the same pairs, rule and seed.
    """
    same = (one.num_mated, one.num_non_mated, one.rule, one.target_fmr, one.area_limit, len(one.replicate_areas))
    if same != (
        other.num_mated,
        other.num_non_mated,
        other.rule,
        other.target_fmr,
        other.area_limit,
        len(other.replicate_areas),
    ):
        raise ValueError("the two curves are not of the same pairs, rule, FMR, limit and number of replicates")
    return _percentiles(one.replicate_areas - other.replicate_areas, confidence)


def _checked_quality(quality: npt.ArrayLike, shape: tuple[int, ...], area_limit: float) -> Array:
    goodness = np.asarray(quality, np.float64)
    if goodness.shape != shape:
        raise InputError(f"One quality per comparison is needed; got {goodness.shape} for {shape[0]:,}.")
    if not np.isfinite(goodness).all():
        raise InputError(f"{int((~np.isfinite(goodness)).sum()):,} comparisons have a quality that is not finite.")
    if not STEPS[1] <= area_limit <= STEPS[-1]:
        raise InputError(f"area_limit is {area_limit:g}; it lies between 0.01 and 0.95, and 0.2 is usual.")
    return goodness


class _ByQuality:
    """What leaves together, lowest quality first."""

    def __init__(self, quality: Array) -> None:
        self.order = np.argsort(quality, kind="stable")
        ordered = quality[self.order]
        self.tie_ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)  # last of each equal quality
        self.cuts = ordered[self.tie_ends]

    def sums(self, values: Array) -> Array:
        """Return 0, and the sum of all that has left after each tie."""
        return np.concatenate([[0.0], np.cumsum(values[self.order])[self.tie_ends]])


def _share_left(weight: Array, errors: Array) -> Array:
    """Return the share of errors in what is left at each of `STEPS`, given sums by quality.

    The straight line between the ends of a tie is the mean over random orders inside it.
    """
    gone = STEPS * weight[-1]
    return np.asarray((errors[-1] - np.interp(gone, weight, errors)) / (weight[-1] - gone))


class _Sides:
    """Mated and non-mated pairs in ascending order of score, with their qualities, ready for many weightings."""

    def __init__(self, pairs: OrderedPairs, quality: Array, fmr: float, rule: Rule) -> None:
        self.pairs, self.fmr, self.rule = pairs, fmr, rule
        self.mated_score, self.non_mated_score = pairs.mated_scores, pairs.non_mated_scores
        self.mated_quality = quality[pairs.mated_order]
        self.non_mated_quality = quality[pairs.non_mated_order]
        self.by_quality = _ByQuality(self.mated_quality)

    def curve(self, mated_weight: Array, non_mated_weight: Array) -> tuple[Array, Array]:
        """Return FNMR and threshold at each of `STEPS`; weights are in ascending order of score."""
        too_low = self.pairs.highest_refused(non_mated_weight, self.fmr)
        weight = self.by_quality.sums(mated_weight)
        if self.rule == "fixed":
            errors = self.by_quality.sums(mated_weight * (self.mated_score <= too_low))
            return _share_left(weight, errors), np.full(len(STEPS), self.pairs.next_above(too_low))
        found = [self._retuned(share, weight, mated_weight, non_mated_weight) for share in STEPS * weight[-1]]
        fnmr, thresholds = np.array(found).T
        return fnmr, thresholds

    def _retuned(self, gone: float, weight: Array, mated_weight: Array, non_mated_weight: Array) -> tuple[float, float]:
        """Return FNMR and threshold on what is left when mated comparisons of the weight `gone` have left."""
        tie = min(int(np.searchsorted(weight, gone, side="right")) - 1, len(self.by_quality.cuts) - 1)
        left_of_tie = 1 - (gone - weight[tie]) / max(weight[tie + 1] - weight[tie], 1e-300)
        cut = self.by_quality.cuts[tie]
        keep = [(side > cut) + left_of_tie * (side == cut) for side in (self.mated_quality, self.non_mated_quality)]
        if keep[1].sum() * self.fmr < ERRORS_BOUNDED - 1e-6:
            return np.nan, np.nan
        too_low = self.pairs.highest_refused(non_mated_weight * keep[1], self.fmr)
        kept = mated_weight * keep[0]
        return float(kept[self.mated_score <= too_low].sum() / kept.sum()), self.pairs.next_above(too_low)


def _curve_of(
    fnmr: Array,
    threshold: Array,
    replicates: Array,
    *,
    rule: Rule,
    target_fmr: float | None,
    num_mated: int,
    num_non_mated: int,
    area_limit: float,
    confidence: float,
) -> DiscardCurve:
    """Return the curve with its bounds, band and area, given (R, G) replicates of it."""
    low, high = _band(fnmr, replicates, num_mated, confidence)
    areas = np.array([_area(one, area_limit) for one in replicates], np.float64)
    area, ideal = _area(fnmr, area_limit), np.maximum(fnmr[0] - STEPS, 0) / (1 - STEPS)
    least = _area(ideal, area_limit)
    reaches, can_gain = bool(np.isfinite(area)), bool(fnmr[0] - least > 1e-9)
    return DiscardCurve(
        rule=rule,
        target_fmr=target_fmr,
        discarded=STEPS.copy(),
        fnmr=fnmr,
        low=low,
        high=high,
        threshold=threshold,
        ideal=ideal,
        area_limit=area_limit,
        area=area if reaches else None,
        area_interval=_percentiles(areas, confidence) if reaches else None,
        gain=float((fnmr[0] - area) / (fnmr[0] - least)) if reaches and can_gain else None,
        num_mated=num_mated,
        num_non_mated=num_non_mated,
        num_replicates=len(replicates),
        replicate_areas=areas,
    )


def _band(fnmr: Array, replicates: Array, num_mated: int, confidence: float) -> tuple[Array, Array]:
    alone = [
        wilson(min(share * left, left), left, confidence) if np.isfinite(share) else None
        for share, left in zip(fnmr, num_mated * (1 - STEPS), strict=True)
    ]
    low = np.array([np.nan if one is None else one.low for one in alone])
    high = np.array([np.nan if one is None else one.high for one in alone])
    tail = (1 - confidence) / 2
    for step in range(len(STEPS)):
        column = replicates[np.isfinite(replicates[:, step]), step]
        if len(column) and np.isfinite(fnmr[step]):
            ends = np.quantile(column, [tail, 1 - tail])
            low[step], high[step] = min(low[step], ends[0]), max(high[step], ends[1])
    return low, high


def _area(fnmr: Array, limit: float) -> float:
    """Return the mean height of the curve over 0..limit, trapezoids."""
    inside = np.append(STEPS[limit - 1e-9 > STEPS], limit)
    heights = np.interp(inside, STEPS, fnmr)
    mean = float(((heights[1:] + heights[:-1]) / 2 * np.diff(inside)).sum() / limit)
    return min(mean, 1.0)  # rounding; NaN stays


def _percentiles(values: Array, confidence: float) -> Interval | None:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    low, high = np.quantile(finite, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high), confidence, "identity bootstrap")
