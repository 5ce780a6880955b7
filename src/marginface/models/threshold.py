"""The score that decides: which false match rate it stands for, how surely, and what lies below it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Decision = Literal["same", "different", "cannot tell"]


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """A score from which two faces count as one person, and what false match rate it had, on which data."""

    score: float
    """A match is `score >= threshold`; cosine similarity in [-1, 1]."""
    target_fmr: float
    """The false match rate that was asked for."""
    achieved_fmr: float
    """The false match rate seen at this score; it does not exceed the target, unless the score is extrapolated."""
    data: str
    """On which comparisons. Other people, cameras and ages have other rates."""
    flip: str = "sum"
    """The flip policy of `FaceModel.embed` that the score belongs to."""
    low: float | None = None
    """Lower end of the 95 % interval of the score: other people's photographs could have asked for this one."""
    high: float | None = None
    num_non_mated: int | None = None
    """Non-mated comparisons that the score rests on."""
    extrapolated: bool = False
    """Whether the score lies beyond what the comparisons can show, read from a distribution fitted to their tail."""
    reject_below: float | None = None
    """At most `reject_fnmr` of the mated comparisons lie below it; from it up to `score` nothing can be told."""
    reject_fnmr: float | None = None
    """Share of the mated comparisons, 0..1, that may lie below `reject_below`."""

    def __post_init__(self) -> None:
        if (self.reject_below is None) != (self.reject_fnmr is None):
            raise ValueError("reject_below and reject_fnmr belong together; give both or neither.")
        if self.reject_below is not None and not self.reject_below <= self.score:
            raise ValueError(f"reject_below is {self.reject_below:g}, above the score {self.score:g}; it lies below.")


def decide(score: float, threshold: Threshold) -> Decision:
    """Return what a score says under a threshold: "same", "different", or, between its two ends, "cannot tell".

    Without `reject_below` everything under the threshold is "different", with the miss rate that the threshold has.

    Args:
        score: cosine similarity of the two embeddings, made with the threshold's model and flip policy.
        threshold: as calibrated.

    Raises:
        ValueError: the score is no number.
    """
    if math.isnan(score):
        raise ValueError("the score is not a number; the embeddings are broken.")
    if score >= threshold.score:
        return "same"
    if threshold.reject_below is None or score < threshold.reject_below:
        return "different"
    return "cannot tell"


def at_most(thresholds: Iterable[Threshold], fmr: float) -> Threshold | None:
    """Return the threshold of the largest rate that does not exceed `fmr`, the first of several; None without one."""
    allowed = [t for t in thresholds if t.target_fmr <= fmr * (1 + 1e-9)]
    return max(allowed, key=lambda t: t.target_fmr, default=None)
