"""FMR and FNMR over every pair of N embeddings: 5e9 comparisons of 100,000 in the memory of one block.

Scores are counted in equal bins of [-1, 1] and never kept. So a rate is exact at every edge of a bin, and a threshold
is known to one bin (1/32,768 of a cosine): with FMR <= target at an edge and > target at the edge below, the best
threshold lies between the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.metrics.intervals import Interval, effective_wilson, wilson
from marginface.metrics.verification import Support, fmr_support

Float32 = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]
"""Called with (comparisons done, comparisons in all)."""

NUM_BINS = 2**16
STRANGER_TARGETS = (1e-3, 1e-4, 1e-5, 1e-6)
MANTISSA_BITS = 23
"""Of a 32-bit float."""
BLOCK = 2048
"""Embeddings a side of a block of products, 16 MB."""
AT_ONCE = 2**18
"""Scores whose bins are found together: 1 MB, which stays in cache."""


class BinCounter:
    """Counts scores in equal bins of [-1, 1], an array at a time."""

    def __init__(self, num_bins: int = NUM_BINS) -> None:
        """Start at none.

        Raises:
            ValueError: a number of bins that is no power of two up to 65,536.
        """
        if num_bins < 2 or num_bins > NUM_BINS or num_bins & (num_bins - 1):
            raise ValueError(f"num_bins is {num_bins}; it is a power of two up to {NUM_BINS:,}.")
        self.counts = np.zeros(num_bins, np.int64)
        self._scratch = np.empty(0, np.float32)

    def add(self, scores: Float32) -> None:
        """Count all scores of an array; those outside [-1, 1] fall into the outermost bins.

        (score + 3) bins / 2 lies in [bins, 2 bins), where the leading bits of a float's mantissa are the number of the
        bin: four times quicker than converting to whole numbers.
        """
        bins = len(self.counts)
        below_the_end = np.nextafter(np.float32(2 * bins), np.float32(0))
        for part in np.array_split(scores, max(1, scores.size // AT_ONCE)):
            if self._scratch.size < part.size:
                self._scratch = np.empty(part.size, np.float32)
            made = self._scratch[: part.size].reshape(part.shape)
            np.multiply(part, np.float32(bins / 2), out=made)
            made += np.float32(1.5 * bins)
            np.clip(made, bins, below_the_end, out=made)
            numbers = made.view(np.int32)
            numbers >>= MANTISSA_BITS - (bins.bit_length() - 1)
            numbers &= bins - 1
            self.counts += np.bincount(numbers.reshape(-1), minlength=bins)


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
    num_mated: int
    num_non_mated: int
    expected_false_matches: float
    """`num_non_mated * target_fmr`: 30 support the rate, fewer than 3 are refused."""
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
    """Of the FNMR at this threshold. Wilson's takes comparisons for independent, which those of all pairs are far from
    being; where the mated ones came with their people it is Wilson's of an effective number."""
    fmr_interval: Interval | None
    """Of the FMR of this threshold, Wilson's with every comparison taken for independent: the least there is."""


def score_all_pairs(
    unit: Float32, labels: npt.ArrayLike, *, num_bins: int = NUM_BINS, progress: Progress | None = None
) -> BinnedScores:
    """Return the binned scores of all N (N - 1) / 2 pairs.

    Args:
        unit: (N, D) embeddings of length 1.
        labels: (N,) who each is, any integers.
        num_bins: of [-1, 1], a power of two up to 65,536.
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
    mated, non_mated = BinCounter(num_bins), BinCounter(num_bins)
    products = np.empty((BLOCK, BLOCK), np.float32)
    done, total = 0, len(unit) * (len(unit) - 1) // 2
    for row in range(0, len(vectors), BLOCK):
        left = vectors[row : row + BLOCK]
        for column in range(row, len(vectors), BLOCK):
            right = vectors[column : column + BLOCK]
            made = products.reshape(-1)[: len(left) * len(right)].reshape(len(left), len(right))
            np.matmul(left, right.T, out=made)
            if sorted_labels[column] > sorted_labels[row + len(left) - 1]:
                non_mated.add(made)
                done += made.size
            else:
                same = sorted_labels[row : row + len(left), None] == sorted_labels[None, column : column + len(right)]
                compared = np.triu(np.ones(made.shape, np.bool_), 1 if column == row else -len(left))
                mated.add(made[same & compared])
                non_mated.add(made[~same & compared])
                done += int(compared.sum())
            if progress is not None:
                progress(done, total)
    return BinnedScores(mated=mated.counts, non_mated=non_mated.counts)


def binned_fnmr_at_fmr(scores: BinnedScores, *, fmr: float, confidence: float = 0.95) -> BinnedPoint:
    """Return the FNMR at the largest FMR that an edge achieves within the target.

    Args:
        scores: from `score_all_pairs`, or counted by two `BinCounter`s.
        fmr: the target, between 0 and 1.
        confidence: of Wilson's intervals.

    Raises:
        InputError: one kind of comparisons is absent, or a target outside (0, 1).
    """
    if not scores.num_mated or not scores.num_non_mated:
        missing = "non-mated" if scores.num_mated else "mated"
        raise InputError(f"None of the comparisons is {missing}; error rates need both kinds.")
    support = fmr_support(scores.num_non_mated, fmr)
    counts = (scores.num_mated, scores.num_non_mated, round(scores.num_non_mated * fmr, 6))
    if support == "refused":
        return BinnedPoint(fmr, support, *counts, None, None, None, None, None, None, None, None)
    false_matches = np.append(np.cumsum(scores.non_mated[::-1])[::-1], 0)  # at each edge, ascending
    missed = np.append(0, np.cumsum(scores.mated))
    edge = int(np.argmax(false_matches <= fmr * scores.num_non_mated * (1 + 1e-12)))
    misses, matches = int(missed[edge]), int(false_matches[edge])
    return BinnedPoint(
        fmr,
        support,
        *counts,
        threshold=float(scores.edges[edge]),
        achieved_fmr=matches / scores.num_non_mated,
        false_matches=matches,
        value=misses / scores.num_mated,
        value_one_bin_lower=int(missed[max(edge - 1, 0)]) / scores.num_mated,
        false_non_matches=misses,
        interval=wilson(misses, scores.num_mated, confidence),
        fmr_interval=wilson(matches, scores.num_non_mated, confidence),
    )


def verify_among_strangers(
    strangers: BinCounter,
    mate_scores: Float32,
    person: npt.ArrayLike,
    *,
    fmr_targets: Sequence[float] = STRANGER_TARGETS,
    confidence: float = 0.95,
) -> tuple[BinnedPoint, ...]:
    """Return FNMR at low FMRs of few mates among very many strangers: MegaFace's verification, TAR at FAR 1e-6.

    The interval of the FNMR knows that a person's couples are hers: it is Wilson's of as many independent couples as
    vary alike. The threshold counts as given, and the strangers' side as well known.

    Args:
        strangers: all scores of probes with distractors, counted block by block.
        mate_scores: (M,) scores of two images of one person, each couple once.
        person: (M,) whose couple it is, any integers.
        fmr_targets: each between 0 and 1; what the comparisons cannot carry is refused in its point.
        confidence: of the intervals.

    Raises:
        InputError: no mates or no strangers, or a target outside (0, 1).
    """
    mates = BinCounter(len(strangers.counts))
    mates.add(mate_scores)
    both = BinnedScores(mates.counts, strangers.counts.copy())
    points = [binned_fnmr_at_fmr(both, fmr=fmr, confidence=confidence) for fmr in fmr_targets]
    return tuple(_with_people(point, mate_scores, np.asarray(person), confidence) for point in points)


def _with_people(point: BinnedPoint, mate_scores: Float32, person: npt.NDArray, confidence: float) -> BinnedPoint:
    if point.value is None or point.threshold is None:
        return point
    number = np.unique(person, return_inverse=True)[1]
    num_people = int(number.max()) + 1
    residual = (mate_scores < np.float32(point.threshold)) - point.value
    alone, together = np.square(residual).sum(), np.square(np.bincount(number, weights=residual)).sum()
    interval = effective_wilson(
        point.value,
        point.num_mated,
        design_effect=float(together / alone) if alone > 0 else 1.0,
        num_units=num_people,
        confidence=confidence,
    )
    return replace(point, interval=interval)
