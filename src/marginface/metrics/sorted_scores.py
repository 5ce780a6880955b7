"""Scores checked and sorted once: the form in which every verification metric is a few binary searches.

Convention of this package: a score is a similarity, higher is more alike, and **a match is `score >= threshold`**.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError


@dataclass(frozen=True, eq=False)
class SortedScores:
    """Mated and non-mated scores, each ascending, in the scores' own floating type.

    Mated means two images of one person. The type is kept (float32 stays float32) so that a reported threshold,
    compared with the very scores it came from, decides as it was counted.
    """

    mated: npt.NDArray[np.floating]
    non_mated: npt.NDArray[np.floating]

    @property
    def num_mated(self) -> int:
        return len(self.mated)

    @property
    def num_non_mated(self) -> int:
        return len(self.non_mated)

    def false_matches(self, threshold: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return how many non-mated scores are `>= threshold`, for each threshold."""
        return np.asarray(self.num_non_mated - np.searchsorted(self.non_mated, threshold, side="left"))

    def false_non_matches(self, threshold: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return how many mated scores are `< threshold`, for each threshold."""
        return np.asarray(np.searchsorted(self.mated, threshold, side="left"))

    @property
    def above_all(self) -> np.floating:
        """The smallest threshold that nothing matches: one step of the floating type above the highest score."""
        highest = max(self.mated[-1], self.non_mated[-1])
        return np.nextafter(highest, highest.dtype.type(np.inf))  # type: ignore[no-any-return]

    def next_above(self, score: np.floating) -> np.floating:
        """Return the smallest observed score above `score`, or `above_all` where there is none."""
        found = [
            side[position]
            for side in (self.mated, self.non_mated)
            if (position := np.searchsorted(side, score, side="right")) < len(side)
        ]
        return min(found) if found else self.above_all

    def next_below(self, threshold: np.floating) -> np.floating:
        """Return the largest observed score below `threshold`; there must be one."""
        positions = ((side, np.searchsorted(side, threshold, side="left")) for side in (self.mated, self.non_mated))
        return max(side[position - 1] for side, position in positions if position > 0)


def sort_scores(scores: npt.ArrayLike | SortedScores, mated: npt.ArrayLike | None = None) -> SortedScores:
    """Return the scores checked and sorted; what is already sorted comes back as it is.

    Args:
        scores: (N,) similarities, higher is more alike.
        mated: (N,) true where both sides are one person.

    Raises:
        InputError: lengths differ, a score is NaN or infinite, or one of the two kinds is absent.
    """
    if isinstance(scores, SortedScores):
        return scores
    values, is_mated = checked(scores, mated)
    return SortedScores(np.sort(values[is_mated]), np.sort(values[~is_mated]))


def checked(
    scores: npt.ArrayLike, mated: npt.ArrayLike | None
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.bool_]]:
    """Return scores as float32 or float64 and `mated` as bool, both (N,), or refuse them in words."""
    if mated is None:
        raise InputError("Scores need `mated` beside them: true where both sides of a comparison are one person.")
    values, flags = np.asarray(scores), np.asarray(mated)
    if values.dtype != np.float32:
        values = values.astype(np.float64)
    if values.ndim != 1 or flags.ndim != 1 or len(values) != len(flags):
        raise InputError(f"One `mated` per score is needed; got scores {values.shape} and mated {flags.shape}.")
    if flags.dtype != np.bool_:
        if not np.isin(flags, (0, 1)).all():
            raise InputError("`mated` must be true or false (1 or 0) for every score.")
        flags = flags.astype(np.bool_)
    finite = np.isfinite(values)
    if not finite.all():
        first = int(np.argmin(finite))
        raise InputError(
            f"{len(values) - int(finite.sum()):,} of {len(values):,} scores are NaN or infinite (the first at position "
            f"{first}); an embedding is broken there: leave those comparisons out or embed again."
        )
    num_mated = int(flags.sum())
    if num_mated == 0 or num_mated == len(flags):
        missing = "mated" if num_mated == 0 else "non-mated"
        raise InputError(f"None of the {len(flags):,} comparisons is {missing}; error rates need both kinds.")
    return values, flags
