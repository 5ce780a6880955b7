"""Who is it, where strangers come too: answers below a threshold are refused.

Strangers have the label UNKNOWN; a summary counts them, and whoever is refused, as one class more. F1, its means and
its intervals are those of `classification.py`. Letters: N images, C classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.metrics.classification import F1Summary, checked_answers, summary_of
from marginface.metrics.intervals import wilson
from marginface.metrics.replicates import Drawn, Draws, Estimate, Resample, percentiles, wider_of

Array = npt.NDArray
UNKNOWN = -1
"""The label of somebody who is none of the classes, and the answer where nobody is like enough."""


@dataclass(frozen=True)
class RejectionThreshold:
    """The score from which an answer is believed, as calibration images of strangers set it."""

    threshold: float
    """An answer is believed if `score >= threshold`."""
    target_rate: float
    achieved_rate: float
    """Of the calibration images; at most the target."""
    num_images: int


@dataclass(frozen=True, eq=False)
class OpenSetSummary:
    """Answers of which those below a threshold are refused, over known people and strangers."""

    threshold: float
    f1: F1Summary
    """Strangers, and all who are refused, are one class more: the last."""
    unknown_accepted: Estimate
    """Share of strangers' images that were taken for somebody."""
    known_rejected: Estimate
    """Share of known people's images that were refused."""
    known_confused: Estimate
    """Share of known people's images that were taken for somebody else."""
    num_unknown_images: int
    num_unknown_people: int


def rejection_threshold(scores: npt.ArrayLike, *, unknown_accepted: float) -> RejectionThreshold:
    """Return the lowest threshold at which at most a share `unknown_accepted` of strangers' images is accepted.

    Args:
        scores: (N,) best scores of images of people who are none of the classes; not those that will be reported on.
        unknown_accepted: the share wanted, 0..1.

    Raises:
        InputError: no scores, scores that are not finite, a share outside [0, 1).
    """
    values = np.sort(np.asarray(scores))[::-1]
    if not values.size or values.dtype.kind != "f" or not np.isfinite(values).all():
        raise InputError(f"a threshold needs finite scores of strangers; got {values.size} scores.")
    if not 0 <= unknown_accepted < 1:
        raise InputError(f"unknown_accepted is {unknown_accepted}; give a share from 0 to less than 1, such as 0.05.")
    allowed = math.floor(unknown_accepted * len(values) + 1e-9)
    # Just above the first score that is one too many, in the scores' own precision: numpy compares in that.
    threshold = float(np.nextafter(values[allowed], values.dtype.type(np.inf)))
    return RejectionThreshold(threshold, unknown_accepted, float((values >= threshold).mean()), len(values))


def open_set_summary(
    labels: npt.ArrayLike,
    predicted: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    people: npt.ArrayLike,
    threshold: float,
    num_classes: int,
    resample: Resample = "people",
    num_replicates: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> OpenSetSummary:
    """Return F1 with a class "unknown", and the rates of both ways to be wrong about strangers.

    Args:
        labels: (N,) who it is, 0..C-1, or UNKNOWN for a stranger.
        predicted: (N,) the best class, 0..C-1.
        scores: (N,) how like it is; below the threshold the answer is "unknown".
        people: (N,) who it is, strangers told apart: any integers or strings.
        threshold: chosen on other images (`rejection_threshold`).
        num_classes: C, without the unknown.
        resample: what is drawn again; known people and strangers each among themselves.
        num_replicates: how often; 0 gives no intervals but Wilson's.
        confidence: between 0 and 1.
        seed: of the draws.

    Raises:
        InputError: no known people or no strangers, lengths that differ, a class outside 0..C-1.
    """
    labels_N = np.asarray(labels)
    is_unknown_N = labels_N == UNKNOWN
    if not is_unknown_N.any() or is_unknown_N.all():
        raise InputError("an open set needs images of both known people and strangers.")
    _, best_N = checked_answers(np.where(is_unknown_N, 0, labels_N), predicted, num_classes)
    scores_N, people_N = np.asarray(scores), np.unique(np.asarray(people), return_inverse=True)[1]
    if scores_N.shape != labels_N.shape or people_N.shape != labels_N.shape:
        raise InputError(
            f"{len(labels_N)} labels need as many scores and people; got {len(scores_N)}, {len(people_N)}."
        )
    true_N = np.where(is_unknown_N, num_classes, labels_N)
    answer_N = np.where(scores_N >= threshold, best_N, num_classes)
    draws = Draws(people_N, is_unknown_N, resample, num_replicates, seed)

    def rate(wrong_N: Array, among_N: Array) -> Estimate:
        def share(drawn: Drawn) -> Array:
            return np.atleast_1d(drawn.weight_N[among_N & wrong_N].sum() / drawn.weight_N[among_N].sum())

        count, total = int((among_N & wrong_N).sum()), int(among_N.sum())
        (interval,) = percentiles(draws.of(share), confidence, resample)
        return Estimate(count / total, wider_of(wilson(count, total, confidence), interval))

    return OpenSetSummary(
        threshold=threshold,
        f1=summary_of(true_N, answer_N, num_classes + 1, draws, confidence),
        unknown_accepted=rate(answer_N < num_classes, is_unknown_N),
        known_rejected=rate(answer_N == num_classes, ~is_unknown_N),
        known_confused=rate((answer_N < num_classes) & (answer_N != true_N), ~is_unknown_N),
        num_unknown_images=int(is_unknown_N.sum()),
        num_unknown_people=len(np.unique(people_N[is_unknown_N])),
    )
