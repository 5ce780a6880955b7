"""Ten-fold accuracy as the papers print it: the threshold is chosen on nine folds and judged on the tenth.

Convention (insightface, AdaFace, MultiFace; LFW's own View 2): squared Euclid distance of unit vectors, d = 2 - 2c;
thresholds 0, 0.01 ... 3.99; a pair matches when `d < threshold`; the first best threshold of the training folds, so the
lowest of a plateau; mean and population standard deviation of the folds' accuracies; folds in pair order, not shuffled.

MagFace's own script differs (`magface_k_fold_accuracy`): for each fold the mean of the other folds' embeddings, as the
network gave them, is subtracted from all; the distance is arccos(cosine) / pi on the same thresholds. The shift changes
which pairs are nearer, so neither number can be had from the other's scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.metrics.intervals import Interval, wilson
from marginface.metrics.sorted_scores import checked
from marginface.metrics.verification import best_accuracy

Thresholds = Literal["papers", "exact"]

GRID = np.arange(0, 4, 0.01)
"""The papers' thresholds, as squared distances."""


@dataclass(frozen=True)
class KFoldAccuracy:
    """Accuracy of pairs judged with a threshold that was chosen without them."""

    mean: float
    """Of the folds' accuracies, 0..1: the number in the tables."""
    std: float
    """Of the folds' accuracies, population: the +- in the tables. It is not the error of the mean."""
    standard_error: float
    """Of the mean over folds, `std / sqrt(folds - 1)`."""
    fold_accuracies: tuple[float, ...]
    fold_sizes: tuple[int, ...]
    thresholds: tuple[float, ...]
    """As scores (cosine); a fold's distance threshold is 2 - 2 * this."""
    num_correct: int
    num_pairs: int
    interval: Interval
    """Of the pooled accuracy `num_correct / num_pairs`."""


@dataclass(frozen=True, eq=False)
class FoldDecisions:
    """What k-fold judging decided about each pair."""

    correct: npt.NDArray[np.bool_]
    """(N,) in pair order."""
    fold_of_pair: npt.NDArray[np.int64]
    """(N,) in 0..folds-1."""
    thresholds: tuple[float, ...]
    """As scores, one a fold."""


def k_fold_accuracy(
    scores: npt.ArrayLike,
    mated: npt.ArrayLike,
    folds: npt.ArrayLike | None = None,
    *,
    num_folds: int = 10,
    thresholds: Thresholds = "papers",
    confidence: float = 0.95,
) -> KFoldAccuracy:
    """Return the k-fold accuracy with its counts and the Wilson interval of the pooled accuracy.

    Args:
        scores: (N,) cosines of unit embeddings in [-1, 1], higher is more alike.
        mated: (N,) true where both sides are one person.
        folds: (N,) fold of each pair; None cuts the pair order into `num_folds` pieces (sizes differ by one at most).
        thresholds: "papers" is the convention above; "exact" tries every midpoint between distinct training scores
            (`best_accuracy`), for scores that are not cosines.

    Raises:
        InputError: scores that `sort_scores` refuses, fewer than two folds, or more folds than pairs.

    Example:
        >>> k_fold_accuracy([0.9, 0.1, 0.9, 0.2], [1, 0, 1, 0], num_folds=2).mean
        1.0
    """
    decisions = k_fold_decisions(scores, mated, folds, num_folds=num_folds, thresholds=thresholds)
    return _accuracy_of(decisions, confidence)


def magface_k_fold_accuracy(
    left: npt.ArrayLike,
    right: npt.ArrayLike,
    mated: npt.ArrayLike,
    folds: npt.ArrayLike | None = None,
    *,
    num_folds: int = 10,
    confidence: float = 0.95,
) -> KFoldAccuracy:
    """Return the k-fold accuracy by MagFace's convention, for comparison with its tables.

    Args:
        left: (N, D) embeddings as the network gave them, not normalised (MagFace adds no mirrored image).
        right: (N, D) of the other side.
        mated: (N,) true where both sides are one person.
        folds: (N,) fold of each pair; None cuts the pair order into `num_folds` pieces.
        num_folds: where `folds` is None.
        confidence: of the interval.

    Raises:
        InputError: embeddings that are not finite or do not fit together, one kind of pairs absent, too few folds.
    """
    sides = [np.asarray(side, np.float64) for side in (left, right)]
    if sides[0].ndim != 2 or sides[0].shape != sides[1].shape:
        raise InputError(f"Both sides must be (N, D); got {sides[0].shape} and {sides[1].shape}.")
    _, is_mated = checked(sides[0].sum(axis=1) + sides[1].sum(axis=1), mated)  # refuses what is not finite
    fold_of_pair, count = _fold_numbers(folds, len(is_mated), num_folds)
    sums = np.stack([(sides[0] + sides[1])[fold_of_pair == fold].sum(axis=0) for fold in range(count)])
    sizes = np.bincount(fold_of_pair, minlength=count)
    correct, chosen = np.zeros(len(is_mated), np.bool_), []
    for fold in range(count):
        held_out = fold_of_pair == fold
        mean = (sums.sum(axis=0) - sums[fold]) / (2 * (len(is_mated) - sizes[fold]))
        distance = np.arccos(_shifted_cosines(sides[0], sides[1], mean)) / np.pi
        start = np.searchsorted(GRID, distance, side="right")
        best = _first_best(start[~held_out], is_mated[~held_out], len(GRID))
        correct[held_out] = (start[held_out] <= best) == is_mated[held_out]
        chosen.append(float(np.cos(np.pi * min(GRID[best], 1.0))))
    return _accuracy_of(FoldDecisions(correct, fold_of_pair, tuple(chosen)), confidence)


def _shifted_cosines(
    left: npt.NDArray[np.float64], right: npt.NDArray[np.float64], mean: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the cosines of `left - mean` and `right - mean`, from products that need no shifted copy."""
    square = mean @ mean
    dots = np.einsum("pd,pd->p", left, right) - (left + right) @ mean + square
    lengths = [np.einsum("pd,pd->p", side, side) - 2 * (side @ mean) + square for side in (left, right)]
    cosines = dots / np.sqrt(np.maximum(lengths[0] * lengths[1], np.finfo(np.float64).tiny))
    return np.asarray(np.clip(cosines, -1.0, 1.0))


def _first_best(start: npt.NDArray[np.int64], mated: npt.NDArray[np.bool_], num_thresholds: int) -> int:
    """Return the first threshold with most right decisions, given from which threshold on each pair matches."""
    gained = np.bincount(start[mated], minlength=num_thresholds + 1) - np.bincount(
        start[~mated], minlength=num_thresholds + 1
    )
    return int(np.argmax(np.cumsum(gained)[:num_thresholds]))


def k_fold_decisions(
    scores: npt.ArrayLike,
    mated: npt.ArrayLike,
    folds: npt.ArrayLike | None = None,
    *,
    num_folds: int = 10,
    thresholds: Thresholds = "papers",
) -> FoldDecisions:
    """Return each pair's fold and whether it was judged rightly; arguments as in `k_fold_accuracy`."""
    values, is_mated = checked(scores, mated)
    fold_of_pair, count = _fold_numbers(folds, len(values), num_folds)
    if thresholds == "papers":
        return _on_the_papers_grid(values, is_mated, fold_of_pair, count)
    return _on_exact_thresholds(values, is_mated, fold_of_pair, count)


def _accuracy_of(decisions: FoldDecisions, confidence: float) -> KFoldAccuracy:
    sizes = np.bincount(decisions.fold_of_pair)
    correct = np.bincount(decisions.fold_of_pair, weights=decisions.correct).astype(np.int64)
    accuracies = correct / sizes
    std = float(np.std(accuracies))
    num_correct, num_pairs = int(correct.sum()), int(sizes.sum())
    return KFoldAccuracy(
        mean=float(np.mean(accuracies)),
        std=std,
        standard_error=std / (len(sizes) - 1) ** 0.5,
        fold_accuracies=tuple(accuracies.tolist()),
        fold_sizes=tuple(sizes.tolist()),
        thresholds=decisions.thresholds,
        num_correct=num_correct,
        num_pairs=num_pairs,
        interval=wilson(num_correct, num_pairs, confidence),
    )


def contiguous_folds(num_pairs: int, num_folds: int = 10) -> npt.NDArray[np.int64]:
    """Return (N,) fold numbers in pair order; the first `num_pairs % num_folds` folds hold one pair more (KFold)."""
    if not 2 <= num_folds <= num_pairs:
        raise InputError(
            f"{num_pairs} pairs cannot be cut into {num_folds} folds; 2 to {num_pairs} folds are possible."
        )
    sizes = np.full(num_folds, num_pairs // num_folds)
    sizes[: num_pairs % num_folds] += 1
    return np.repeat(np.arange(num_folds), sizes)


def _fold_numbers(folds: npt.ArrayLike | None, num_pairs: int, num_folds: int) -> tuple[npt.NDArray[np.int64], int]:
    if folds is None:
        return contiguous_folds(num_pairs, num_folds), num_folds
    given = np.asarray(folds)
    if given.shape != (num_pairs,):
        raise InputError(f"One fold per score is needed; got folds {given.shape} for {num_pairs:,} scores.")
    names, numbers = np.unique(given, return_inverse=True)
    if len(names) < 2:
        raise InputError("All pairs are in one fold; k-fold accuracy needs at least two.")
    return numbers, len(names)


def first_match(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """Return the first of the papers' thresholds at which each pair matches, (N,) in 0..400; at 400 none is left."""
    return np.asarray(np.searchsorted(GRID, 2.0 - 2.0 * scores.astype(np.float64), side="right"))


def _on_the_papers_grid(
    scores: npt.NDArray[np.floating], mated: npt.NDArray[np.bool_], fold_of_pair: npt.NDArray[np.int64], num_folds: int
) -> FoldDecisions:
    # A pair matches from `start` on: there a mated pair adds a right decision and a non-mated one takes one away.
    start = first_match(scores)
    cells = num_folds * (len(GRID) + 1)
    cell = fold_of_pair * (len(GRID) + 1) + start
    gained = np.bincount(cell[mated], minlength=cells) - np.bincount(cell[~mated], minlength=cells)
    rising = np.cumsum(gained.reshape(num_folds, -1), axis=1)[:, : len(GRID)]
    right = rising + np.bincount(fold_of_pair[~mated], minlength=num_folds)[:, None]  # (folds, thresholds)
    best = np.argmax(right.sum(axis=0) - right, axis=1)  # first maximum over the other folds
    matches = start <= best[fold_of_pair]
    return FoldDecisions(matches == mated, fold_of_pair, tuple((1.0 - GRID[best] / 2.0).tolist()))


def _on_exact_thresholds(
    scores: npt.NDArray[np.floating], mated: npt.NDArray[np.bool_], fold_of_pair: npt.NDArray[np.int64], num_folds: int
) -> FoldDecisions:
    correct = np.zeros(len(scores), dtype=np.bool_)
    chosen = []
    for fold in range(num_folds):
        held_out = fold_of_pair == fold
        threshold = best_accuracy(scores[~held_out], mated[~held_out]).threshold
        correct[held_out] = (scores[held_out] >= threshold) == mated[held_out]
        chosen.append(threshold)
    return FoldDecisions(correct, fold_of_pair, tuple(chosen))
