"""Everything the results table needs from one set of comparisons, with what the data cannot say."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from marginface.metrics.all_pairs import BinnedPoint
from marginface.metrics.bootstrap import BootstrapIntervals, identity_bootstrap
from marginface.metrics.intervals import effective_wilson, wider, wilson
from marginface.metrics.kfold import KFoldAccuracy, contiguous_folds, k_fold_accuracy
from marginface.metrics.melded import melded_fnmr_interval
from marginface.metrics.sorted_scores import SortedScores, checked, sort_scores
from marginface.metrics.tail_bootstrap import MANY, tail_bootstrap
from marginface.metrics.verification import (
    ERRORS_NEEDED,
    EqualErrorRate,
    OperatingPoint,
    area_under_roc,
    d_prime,
    equal_error_rate,
    fnmr_at_fmr,
)

FEW_IDENTITIES = 30
MOST_OF_A_KIND = 0.6
"""Share of one kind of pairs above which accuracy speaks of the mixture rather than of the model."""
NUM_FOLDS = 10


@dataclass(frozen=True)
class VerificationSummary:
    """One row of the results table. Plain data: `to_dict` is JSON-ready."""

    num_pairs: int
    num_mated: int
    num_non_mated: int
    num_identities: int | None
    """None where the comparisons came without identities."""
    equal_error_rate: EqualErrorRate
    accuracy: KFoldAccuracy | None
    """Ten-fold, the papers' convention; None where folds are too small or lack a kind (a caveat says so)."""
    fnmr_at_fmr: tuple[OperatingPoint, ...]
    area_under_roc: float
    d_prime: float | None
    confidence: float
    num_replicates: int
    """Of the identity bootstrap; 0 where intervals are Wilson's only."""
    caveats: tuple[str, ...]
    """Sentences about what these comparisons cannot support."""

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def summarise(
    scores: npt.ArrayLike,
    mated: npt.ArrayLike,
    *,
    identity_left: npt.ArrayLike | None = None,
    identity_right: npt.ArrayLike | None = None,
    folds: npt.ArrayLike | None = None,
    fmr_targets: Sequence[float] = (1e-2, 1e-3, 1e-4),
    num_replicates: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> VerificationSummary:
    """Return EER, ten-fold accuracy, FNMR at the target FMRs, area and d' with counts, intervals and caveats.

    Intervals are the wider, end by end, of Wilson's and of the identity bootstrap's: the former does not know that
    pairs share people, the latter that no errors seen is not no errors. (For the EER, which is no proportion, Wilson is
    given the effective number of trials 4MN / (M + N) of M mated and N non-mated pairs, right where both densities are
    equal at the threshold.) That of the accuracy is Wilson's of the effective number of pairs, and where 3 to 30 false
    matches are expected that of the FNMR knows how little they fix the threshold (`melded.py`).

    Args:
        scores: (N,) cosines, higher is more alike.
        mated: (N,) true where both sides are one person.
        identity_left: (N,) the person on the left; without both, intervals are Wilson's alone and a caveat says so.
        identity_right: (N,) the person on the right.
        folds: (N,) fold of each pair; None cuts the pair order into ten, as the papers do.
        fmr_targets: for `fnmr_at_fmr`.
        num_replicates: of the bootstrap; 0 leaves it out. A thousand take 0.5 s for 6,000 pairs, a minute for a
            million.
        confidence: of all intervals.
        seed: of the bootstrap.

    Raises:
        InputError: scores that `sort_scores` refuses, or an FMR outside (0, 1).
    """
    values, is_mated = checked(scores, mated)
    ordered = sort_scores(values, is_mated)
    caveats: list[str] = []
    eer = _with_wilson(equal_error_rate(ordered), confidence)
    points = tuple(fnmr_at_fmr(ordered, fmr=fmr, confidence=confidence) for fmr in fmr_targets)
    usable_folds, why_not = _folds(folds, is_mated)
    accuracy = None if usable_folds is None else k_fold_accuracy(values, is_mated, usable_folds, confidence=confidence)

    num_identities = None
    if identity_left is not None and identity_right is not None:
        num_identities = len(np.unique(np.concatenate([np.asarray(identity_left), np.asarray(identity_right)])))
    bootstrap = None
    if num_identities is not None and num_identities > 1 and num_replicates > 0:
        settings: dict[str, Any] = {
            "fmr_targets": fmr_targets,
            "num_replicates": num_replicates,
            "confidence": confidence,
            "seed": seed,
        }
        people = (np.asarray(identity_left), np.asarray(identity_right))
        if len(values) >= MANY:
            bootstrap = tail_bootstrap(values, is_mated, *people, **settings)
        else:
            bootstrap = identity_bootstrap(values, is_mated, *people, folds=usable_folds, **settings)
    points = tuple(_with_threshold_noise(point, ordered, bootstrap, confidence) for point in points)
    if bootstrap is not None:
        eer, points, accuracy = _widened(eer, points, accuracy, bootstrap)

    caveats += [sentence for point in points if (sentence := support_sentence(point))]
    caveats += _caveats(ordered, num_identities, bootstrap)
    if why_not:
        caveats.append(why_not)
    kinds = ((ordered.num_mated, "mated", "same"), (ordered.num_non_mated, "non-mated", "different"))
    commoner, kind, answer = max(kinds)
    if accuracy is not None and commoner > MOST_OF_A_KIND * len(values):
        share = commoner / len(values)
        caveats.append(
            f"{share:.1%} of the pairs are {kind}: who always says {answer!r} has accuracy {share:.4f}, so this "
            "accuracy cannot be compared with that of balanced sets."
        )
    return VerificationSummary(
        num_pairs=len(values),
        num_mated=ordered.num_mated,
        num_non_mated=ordered.num_non_mated,
        num_identities=num_identities,
        equal_error_rate=eer,
        accuracy=accuracy,
        fnmr_at_fmr=points,
        area_under_roc=area_under_roc(ordered),
        d_prime=d_prime(ordered),
        confidence=confidence,
        num_replicates=bootstrap.num_replicates if bootstrap else 0,
        caveats=tuple(caveats),
    )


def support_sentence(point: OperatingPoint | BinnedPoint) -> str:
    """Return why the data cannot support this FMR, or "" where they can.

    Example:
        >>> support_sentence(fnmr_at_fmr([0.0] * 300 + [1.0], [False] * 300 + [True], fmr=0.01))
        '300 non-mated pairs cannot support FMR 0.01: 3 expected errors, 30 are needed; take it as a hint.'
    """
    if point.support == "supported":
        return ""
    needed = f"{point.expected_false_matches:.3g} expected errors, {ERRORS_NEEDED} are needed"
    ending = "no number is given" if point.support == "refused" else "take it as a hint"
    return f"{point.num_non_mated:,} non-mated pairs cannot support FMR {point.target_fmr:g}: {needed}; {ending}."


def _with_wilson(eer: EqualErrorRate, confidence: float) -> EqualErrorRate:
    trials = 4 * eer.num_mated * eer.num_non_mated / (eer.num_mated + eer.num_non_mated)
    return dataclasses.replace(eer, interval=wilson(eer.value * trials, trials, confidence))


def _with_threshold_noise(
    point: OperatingPoint, ordered: SortedScores, bootstrap: BootstrapIntervals | None, confidence: float
) -> OperatingPoint:
    """Return the point with the interval that knows of its threshold's noise, where no bootstrap does or can."""
    if point.value is None or (bootstrap is not None and point.support == "supported"):
        return point
    interval = melded_fnmr_interval(ordered, fmr=point.target_fmr, confidence=confidence)
    return dataclasses.replace(point, interval=interval)


def _widened(
    eer: EqualErrorRate,
    points: tuple[OperatingPoint, ...],
    accuracy: KFoldAccuracy | None,
    bootstrap: BootstrapIntervals,
) -> tuple[EqualErrorRate, tuple[OperatingPoint, ...], KFoldAccuracy | None]:
    assert eer.interval is not None
    confidence, people = eer.interval.confidence, bootstrap.num_identities
    eer = dataclasses.replace(eer, interval=wider(eer.interval, bootstrap.equal_error_rate))
    widened = []
    for point in points:
        if point.interval is not None and point.achieved_fmr is not None:
            fmr_interval = effective_wilson(
                point.achieved_fmr,
                point.num_non_mated,
                design_effect=bootstrap.fmr_design_effect[point.target_fmr],
                num_units=people,
                confidence=confidence,
            )
            point = dataclasses.replace(
                point,
                interval=wider(point.interval, bootstrap.fnmr_at_fmr[point.target_fmr]),
                fmr_interval=wider(fmr_interval, bootstrap.fmr_at_threshold[point.target_fmr]),
            )
        widened.append(point)
    if accuracy is not None and bootstrap.accuracy_variance is not None:
        share = accuracy.num_correct / accuracy.num_pairs
        alone = share * (1 - share) / accuracy.num_pairs
        effect = bootstrap.accuracy_variance / alone if alone else 1.0
        interval = effective_wilson(
            share, accuracy.num_pairs, design_effect=effect, num_units=people, confidence=confidence
        )
        accuracy = dataclasses.replace(accuracy, interval=interval)
    return eer, tuple(widened), accuracy


def _folds(folds: npt.ArrayLike | None, mated: npt.NDArray[np.bool_]) -> tuple[npt.NDArray | None, str]:
    """Return folds that ten-fold accuracy can use, or None and why not."""
    if folds is not None:
        return np.asarray(folds), ""
    if len(mated) < NUM_FOLDS:
        return None, f"{len(mated)} pairs are too few for ten folds: no ten-fold accuracy is given."
    cut = contiguous_folds(len(mated), NUM_FOLDS)
    share = np.bincount(cut, weights=mated) / np.bincount(cut)
    if (share == 0).any() or (share == 1).any():
        return (
            None,
            "The pair order has folds of one kind only: no ten-fold accuracy is given; name a fold for each pair.",
        )
    return cut, ""


def _caveats(ordered: SortedScores, num_identities: int | None, bootstrap: BootstrapIntervals | None) -> list[str]:
    sentences = []
    if ordered.num_mated < ERRORS_NEEDED:
        sentences.append(
            f"Only {ordered.num_mated} mated pairs: every FNMR moves in steps of {1 / ordered.num_mated:.2g}."
        )
    if bootstrap is None:
        sentences.append("Intervals take the pairs for independent; where pairs share people they are too narrow.")
    elif num_identities is not None and num_identities < FEW_IDENTITIES:
        sentences.append(f"Only {num_identities} identities: these intervals speak for little more than these people.")
    return sentences
