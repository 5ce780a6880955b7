"""FMR and FNMR over every pair of N embeddings: 5e9 comparisons of 100,000 in the memory of one block.

Scores are counted in equal bins of [-1, 1] and never kept. So a rate is exact at every edge of a bin, and a threshold
is known to one bin (1/32,768 of a cosine): with FMR <= target at an edge and > target at the edge below, the best
threshold lies between the two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.metrics.intervals import Interval, wilson
from marginface.metrics.verification import Support, fmr_support

Float32 = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]
"""Called with (comparisons done, comparisons in all)."""

NUM_BINS = 2**16
BLOCK = 2048
"""Embeddings a side of a block of products, 16 MB."""


@dataclass(frozen=True, eq=False)
class BinnedScores:
    """How many scores of either kind fall into each bin."""

    mated: npt.NDArray[np.int64]
    """(bins,) over [-1, 1], the lowest scores first."""
    non_mated: npt.NDArray[np.int64]

    @property
    def edges(self) -> npt.NDArray[np.float64]:
        """(bins + 1,) scores."""
        return np.linspace(-1, 1, len(self.mated) + 1)

    @property
    def num_mated(self) -> int:
        return int(self.mated.sum())

    @property
    def num_non_mated(self) -> int:
        return int(self.non_mated.sum())


@dataclass(frozen=True)
class BinnedPoint:
    """FNMR at a target FMR, its threshold at an edge of a bin. Rates are None where the comparisons cannot carry it."""

    target_fmr: float
    support: Support
    threshold: float | None
    """The lowest edge at which the FMR does not exceed the target."""
    achieved_fmr: float | None
    false_matches: int | None
    value: float | None
    """FNMR at the threshold: exact."""
    value_one_bin_lower: float | None
    """FNMR one bin lower, where the FMR exceeds the target: no threshold in between misses fewer."""
    false_non_matches: int | None
    interval: Interval | None
    """Of the FNMR, Wilson's: takes comparisons for independent, which those of all pairs are far from being."""


def score_all_pairs(
    unit: Float32, labels: npt.ArrayLike, *, num_bins: int = NUM_BINS, progress: Progress | None = None
) -> BinnedScores:
    """Return the binned scores of all N (N - 1) / 2 pairs.

    Args:
        unit: (N, D) embeddings of length 1.
        labels: (N,) who each is, any integers.
        num_bins: of [-1, 1].
        progress: called after each block.

    Raises:
        InputError: fewer than two embeddings, lengths that differ, or embeddings that are not finite.
    """
    label_of = np.unique(np.asarray(labels), return_inverse=True)[1]
    if len(unit) < 2 or len(unit) != len(label_of):
        raise InputError(f"All pairs need two embeddings or more and a label each; got {len(unit)}, {len(label_of)}.")
    order = np.argsort(label_of, kind="stable")  # mates stand together: only blocks near the diagonal hold any
    sorted_labels = label_of[order]
    vectors = np.ascontiguousarray(unit[order], dtype=np.float32)
    if not np.isfinite(vectors.sum()):
        bad = np.flatnonzero(~np.isfinite(vectors.sum(axis=1)))
        raise InputError(f"{len(bad):,} embeddings are not finite, the first at position {order[bad[0]]}.")
    counts = np.zeros((2, num_bins), np.int64)
    products = np.empty((BLOCK, BLOCK), np.float32)
    done, total = 0, len(unit) * (len(unit) - 1) // 2
    for row in range(0, len(vectors), BLOCK):
        # bins are numbered by the product itself: (score + 1) * bins / 2
        left = vectors[row : row + BLOCK] * np.float32(num_bins / 2)
        for column in range(row, len(vectors), BLOCK):
            right = vectors[column : column + BLOCK]
            made = products.reshape(-1)[: len(left) * len(right)].reshape(len(left), len(right))
            np.matmul(left, right.T, out=made)
            made += np.float32(num_bins / 2)
            np.clip(made, 0, num_bins - 1, out=made)
            bins = made.astype(np.int32)
            compared = None if column > row else np.triu(np.ones(bins.shape, np.bool_), 1)
            if sorted_labels[column] > sorted_labels[min(row + BLOCK, len(vectors)) - 1]:
                counts[0] += np.bincount(bins.reshape(-1), minlength=num_bins)
                done += bins.size
            else:
                same = sorted_labels[row : row + len(left), None] == sorted_labels[None, column : column + len(right)]
                for kind, cells in ((0, ~same), (1, same)):
                    taken = bins[cells if compared is None else cells & compared]
                    counts[kind] += np.bincount(taken, minlength=num_bins)
                    done += len(taken)
            if progress is not None:
                progress(done, total)
    return BinnedScores(mated=counts[1], non_mated=counts[0])


def binned_fnmr_at_fmr(scores: BinnedScores, *, fmr: float, confidence: float = 0.95) -> BinnedPoint:
    """Return the FNMR at the largest FMR that an edge achieves within the target.

    Args:
        scores: from `score_all_pairs`.
        fmr: the target, between 0 and 1.
        confidence: of Wilson's interval.

    Raises:
        InputError: one kind of comparisons is absent, or a target outside (0, 1).
    """
    if not scores.num_mated or not scores.num_non_mated:
        missing = "non-mated" if scores.num_mated else "mated"
        raise InputError(f"None of the comparisons is {missing}; error rates need both kinds.")
    support = fmr_support(scores.num_non_mated, fmr)
    if support == "refused":
        return BinnedPoint(fmr, support, None, None, None, None, None, None, None)
    false_matches = np.append(np.cumsum(scores.non_mated[::-1])[::-1], 0)  # at each edge, ascending
    missed = np.append(0, np.cumsum(scores.mated))
    edge = int(np.argmax(false_matches <= fmr * scores.num_non_mated * (1 + 1e-12)))
    misses = int(missed[edge])
    return BinnedPoint(
        target_fmr=fmr,
        support=support,
        threshold=float(scores.edges[edge]),
        achieved_fmr=int(false_matches[edge]) / scores.num_non_mated,
        false_matches=int(false_matches[edge]),
        value=misses / scores.num_mated,
        value_one_bin_lower=int(missed[max(edge - 1, 0)]) / scores.num_mated,
        false_non_matches=misses,
        interval=wilson(misses, scores.num_mated, confidence),
    )
