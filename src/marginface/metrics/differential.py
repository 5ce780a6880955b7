"""Does one threshold serve everybody alike? FMR and FNMR of each group of people at the threshold set on all.

The threshold is global, as a deployed one is: chosen at a target FMR over all comparisons, or given. Then

    FNMR of group g          mated comparisons of g below the threshold
    FMR of groups g and h    non-mated comparisons of somebody of g with somebody of h that reach it
    FMR of group g           that of g with g: strangers of one group, the hardest strangers

(ISO/IEC 19795-10; NIST IR 8280 and 8429.) A ratio is the highest group's rate over the lowest one's, and over the
geometric mean of all. Where a group made no error its rate may still be anything up to its interval's upper end, so a
ratio over it is not given, but how large it may be at least is (the highest low end over the lowest high end).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.metrics.drawn_pairs import couples, lambda_and_design_effect, variances
from marginface.metrics.replicates import CountedRate, counted_rate, drawn_times
from marginface.metrics.sorted_scores import checked
from marginface.metrics.verification import OperatingPoint, fnmr_at_fmr

Array = npt.NDArray


@dataclass(frozen=True)
class GroupRate:
    """A rate of one group, or of two groups against each other."""

    group: str
    other: str
    """The same as `group` but for FMR across groups."""
    rate: CountedRate


@dataclass(frozen=True)
class Ratios:
    """How unlike the groups' rates are. None where a group made no error at all."""

    highest: str
    lowest: str
    highest_over_lowest: float | None
    highest_over_geometric_mean: float | None
    at_least: float
    """The highest lower end over the lowest upper end of the intervals, 1 or more: what chance does not explain."""


@dataclass(frozen=True)
class DifferentialSummary:
    """What a threshold for all does to each group."""

    threshold: float
    point: OperatingPoint | None
    """The operating point that set the threshold; None where it was given."""
    groups: tuple[str, ...]
    fnmr: tuple[GroupRate, ...]
    fmr: tuple[GroupRate, ...]
    """Within each group."""
    fmr_across: tuple[GroupRate, ...]
    """Of each two groups."""
    fnmr_ratios: Ratios | None
    fmr_ratios: Ratios | None
    num_without_group: int
    """Comparisons left out because a side has no group."""
    caveats: tuple[str, ...]


def differential_summary(
    scores: npt.ArrayLike,
    mated: npt.ArrayLike,
    group_left: npt.ArrayLike,
    group_right: npt.ArrayLike,
    *,
    groups: Sequence[str],
    fmr: float | None = None,
    threshold: float | None = None,
    identity_left: npt.ArrayLike | None = None,
    identity_right: npt.ArrayLike | None = None,
    num_replicates: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> DifferentialSummary:
    """Return FMR and FNMR of each group at a global threshold, with counts, intervals and ratios.

    Args:
        scores: (N,) higher is more alike.
        mated: (N,) true where both sides are one person.
        group_left: (N,) group of the left side, 0..G-1, or -1 for none.
        group_right: (N,) of the right side.
        groups: (G,) names.
        fmr: target over all comparisons that sets the threshold.
        threshold: instead of `fmr`, a score.
        identity_left: (N,) people, for intervals that know of them; without them Wilson's.
        identity_right: (N,).
        num_replicates: of the people of a group.
        confidence: of the intervals.
        seed: of the draws.

    Raises:
        InputError: both or neither of `fmr` and `threshold`, a target that the data refuse, groups out of range.
    """
    values, is_mated = checked(scores, mated)
    left, right = (np.asarray(side) for side in (group_left, group_right))
    if left.shape != values.shape or right.shape != values.shape or max(left.max(), right.max()) >= len(groups):
        raise InputError(f"One group in 0..{len(groups) - 1} (or -1) per side and score is needed.")
    if (fmr is None) == (threshold is None):
        raise InputError("Give either the target FMR that sets the global threshold, or the threshold.")
    point = None
    if fmr is not None:
        point = fnmr_at_fmr(values, is_mated, fmr=fmr)
        if point.threshold is None:
            raise InputError(
                f"{point.num_non_mated:,} non-mated comparisons cannot set a threshold at FMR {fmr:g}; ask for a "
                f"higher one, {30 / point.num_non_mated:.1g} or more."
            )
        threshold = point.threshold
    assert threshold is not None
    matches = values >= values.dtype.type(threshold)
    people = None
    if identity_left is not None and identity_right is not None:
        people = (np.asarray(identity_left), np.asarray(identity_right))

    def rate(kind: bool, first: int, second: int) -> GroupRate | None:
        within = (is_mated == kind) & (((left == first) & (right == second)) | ((left == second) & (right == first)))
        if not within.any():
            return None
        error = matches[within] != kind
        drawn, num_people = np.empty(0), 0
        if people is not None and num_replicates:
            drawn, num_people = _replicates(error, people[0][within], people[1][within], kind, num_replicates, seed)
        counted = counted_rate(int(error.sum()), int(within.sum()), drawn, num_people=num_people, confidence=confidence)
        return GroupRate(groups[first], groups[second], counted)

    each = range(len(groups))
    fnmr = tuple(found for g in each if (found := rate(True, g, g)))
    within_fmr = tuple(found for g in each if (found := rate(False, g, g)))
    across = tuple(found for g in each for h in each if g < h and (found := rate(False, g, h)))
    num_without = int(((left < 0) | (right < 0)).sum())
    return DifferentialSummary(
        threshold=float(threshold),
        point=point,
        groups=tuple(groups),
        fnmr=fnmr,
        fmr=within_fmr,
        fmr_across=across,
        fnmr_ratios=_ratios(fnmr),
        fmr_ratios=_ratios(within_fmr),
        num_without_group=num_without,
        caveats=_caveats(fnmr, within_fmr, num_without),
    )


def _replicates(
    error: Array, left: Array, right: Array, mated: bool, num: int, seed: int
) -> tuple[npt.NDArray[np.float64], int]:
    """Return the rate among people drawn again, and how many people there are.

    A comparison of two people weighs the product of their times, drawn back by the lambda of `bootstrap.py`.
    """
    number = np.unique(np.concatenate([left, right]), return_inverse=True)[1]
    one, other = number[: len(left)], number[len(left) :]
    num_people = int(number.max()) + 1
    tempering, observed = 1.0, float(error.mean())
    if not mated:
        sharing = variances(error.astype(np.float64), one, other, couples(one, other, num_people))
        tempering, _ = lambda_and_design_effect(*sharing)
    found = np.full(num, np.nan)
    for k in range(num):
        times = drawn_times(num_people, k, seed)
        weight = times[one] if mated else times[one] * times[other]
        total = weight.sum()
        if total:
            found[k] = (1 - tempering) * observed + tempering * weight[error].sum() / total
    return found, num_people


def _ratios(rates: Sequence[GroupRate]) -> Ratios | None:
    """Return how unlike two or more rates are."""
    if len(rates) < 2:
        return None
    ordered = sorted(rates, key=lambda one: one.rate.value)
    lowest, highest = ordered[0], ordered[-1]
    values = np.array([one.rate.value for one in rates])
    known = lowest.rate.value > 0
    return Ratios(
        highest=highest.group,
        lowest=lowest.group,
        highest_over_lowest=float(highest.rate.value / lowest.rate.value) if known else None,
        highest_over_geometric_mean=float(values.max() / np.exp(np.log(values).mean())) if known else None,
        at_least=max(1.0, max(one.rate.interval.low for one in rates) / min(one.rate.interval.high for one in rates)),
    )


def _caveats(fnmr: Sequence[GroupRate], fmr: Sequence[GroupRate], num_without: int) -> tuple[str, ...]:
    said = []
    for name, rates in (("FNMR", fnmr), ("FMR", fmr)):
        few = [one.group for one in rates if one.rate.successes < 30]
        if few:
            said.append(f"{name} of {', '.join(few)} rests on fewer than 30 errors; take its ratios as a hint.")
    if num_without:
        said.append(f"{num_without:,} comparisons have a side without a group and stand only in the global threshold.")
    return tuple(said)
