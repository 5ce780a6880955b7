"""Who is it, among people one knows: F1 by class, macro, micro and weighted, with strangers refused by a threshold.

    precision_c = TP_c / (TP_c + FP_c)      recall_c = TP_c / (TP_c + FN_c)      F1_c = 2 TP_c / (2 TP_c + FP_c + FN_c)

    macro       mean of F1_c over people: everybody counts the same
    weighted    mean of F1_c, each class by its number of images
    micro       F1 of all counts together; with one answer an image that is the accuracy

0 / 0 counts as 0 (scikit-learn's `zero_division=0`), and a mean runs over all classes, also those without images.

Letters: N images, C classes, P people, R replicates. Strangers have the label UNKNOWN; a summary that has them counts
them, and whoever is refused, as one class more.

Intervals draw people again (both the images of a person and her place in the macro mean come as often as she is
drawn): that is how far the number holds for other people of the same kind. `resample="images"` keeps the people and
draws each one's images again: for these very people, if their images were independent, which those of one occasion are
not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.metrics.intervals import Interval, normal_quantile, wider, wilson

Array = npt.NDArray
Resample = Literal["people", "images"]
UNKNOWN = -1
"""The label of somebody who is none of the classes, and the answer where nobody is like enough."""


@dataclass(frozen=True)
class Estimate:
    """A number with its interval."""

    value: float
    interval: Interval | None
    """None without replicates."""


@dataclass(frozen=True, eq=False)
class ClassScores:
    """What each class scores; (C,) each."""

    precision: Array
    recall: Array
    f1: Array
    num_images: Array
    """Images of the class."""


@dataclass(frozen=True, eq=False)
class F1Summary:
    """The three means of F1 with their counts."""

    macro: Estimate
    micro: Estimate
    weighted: Estimate
    classes: ClassScores
    num_images: int
    num_classes: int
    """With one for strangers where there are any."""
    num_replicates: int


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


def confusion_counts(labels: npt.ArrayLike, predicted: npt.ArrayLike, *, num_classes: int) -> Array:
    """Return (C, C) int64 counts: row the class that it is, column the class that was answered.

    Raises:
        InputError: lengths that differ, no images, a class outside 0..C-1.
    """
    true_N, answer_N = _checked(labels, predicted, num_classes)
    flat = np.bincount(true_N * num_classes + answer_N, minlength=num_classes**2)
    return flat.reshape(num_classes, num_classes)


def class_scores(labels: npt.ArrayLike, predicted: npt.ArrayLike, *, num_classes: int) -> ClassScores:
    """Return precision, recall and F1 of each class.

    Raises:
        InputError: lengths that differ, no images, a class outside 0..C-1.
    """
    true_N, answer_N = _checked(labels, predicted, num_classes)
    return _class_scores(_counts(true_N, answer_N, np.ones(len(true_N)), num_classes))


def f1_summary(
    labels: npt.ArrayLike,
    predicted: npt.ArrayLike,
    *,
    num_classes: int,
    resample: Resample = "people",
    num_replicates: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> F1Summary:
    """Return macro, micro and weighted F1 of answers about known people.

    A sample without errors has none in any replicate; then Wilson's interval of the accuracy stands for all three. For
    micro F1 it is always the wider of the two.

    Args:
        labels: (N,) who it is, 0..C-1.
        predicted: (N,) who was answered, 0..C-1.
        num_classes: C.
        resample: what is drawn again for the intervals.
        num_replicates: how often; 0 gives no intervals.
        confidence: between 0 and 1.
        seed: of the draws; summaries with the same labels and seed draw the same.

    Raises:
        InputError: lengths that differ, no images, a class outside 0..C-1.
    """
    true_N, answer_N = _checked(labels, predicted, num_classes)
    draws = _Draws(true_N, np.zeros(len(true_N), dtype=np.bool_), resample, num_replicates, seed)
    return _summary(true_N, answer_N, num_classes, draws, confidence)


def f1_difference(
    labels: npt.ArrayLike,
    before: npt.ArrayLike,
    after: npt.ArrayLike,
    *,
    num_classes: int,
    resample: Resample = "people",
    num_replicates: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Return what two systems differ by on the same images: "macro", "micro" and "weighted" F1, after minus before.

    Both answer the same draws, so what is hard about an image falls out: these intervals are the ones to compare by,
    not the overlap of two summaries'.

    Args:
        labels: (N,) who it is.
        before: (N,) one system's answers.
        after: (N,) the other's.
        num_classes: C.
        resample: what is drawn again for the intervals.
        num_replicates: how often; 0 gives no intervals.
        confidence: between 0 and 1.
        seed: of the draws.

    Raises:
        InputError: lengths that differ, no images, a class outside 0..C-1.
    """
    true_N, before_N = _checked(labels, before, num_classes)
    _, after_N = _checked(labels, after, num_classes)
    draws = _Draws(true_N, np.zeros(len(true_N), dtype=np.bool_), resample, num_replicates, seed)
    values = _means(true_N, after_N, num_classes, draws.all_once) - _means(
        true_N, before_N, num_classes, draws.all_once
    )
    replicates = draws.of(lambda drawn: _means(true_N, after_N, num_classes, drawn)) - draws.of(
        lambda drawn: _means(true_N, before_N, num_classes, drawn)
    )
    intervals = _percentiles(replicates, confidence, resample)
    return {
        name: Estimate(float(value), interval)
        for name, value, interval in zip(("macro", "micro", "weighted"), values, intervals, strict=True)
    }


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
    _, best_N = _checked(np.where(is_unknown_N, 0, labels_N), predicted, num_classes)
    scores_N, people_N = np.asarray(scores), np.unique(np.asarray(people), return_inverse=True)[1]
    if scores_N.shape != labels_N.shape or people_N.shape != labels_N.shape:
        raise InputError(
            f"{len(labels_N)} labels need as many scores and people; got {len(scores_N)}, {len(people_N)}."
        )
    true_N = np.where(is_unknown_N, num_classes, labels_N)
    answer_N = np.where(scores_N >= threshold, best_N, num_classes)
    draws = _Draws(people_N, is_unknown_N, resample, num_replicates, seed)

    def rate(wrong_N: Array, among_N: Array) -> Estimate:
        def share(drawn: _Drawn) -> Array:
            return np.atleast_1d(drawn.weight_N[among_N & wrong_N].sum() / drawn.weight_N[among_N].sum())

        count, total = int((among_N & wrong_N).sum()), int(among_N.sum())
        (interval,) = _percentiles(draws.of(share), confidence, resample)
        return Estimate(count / total, _wider(wilson(count, total, confidence), interval))

    return OpenSetSummary(
        threshold=threshold,
        f1=_summary(true_N, answer_N, num_classes + 1, draws, confidence),
        unknown_accepted=rate(answer_N < num_classes, is_unknown_N),
        known_rejected=rate(answer_N == num_classes, ~is_unknown_N),
        known_confused=rate((answer_N < num_classes) & (answer_N != true_N), ~is_unknown_N),
        num_unknown_images=int(is_unknown_N.sum()),
        num_unknown_people=len(np.unique(people_N[is_unknown_N])),
    )


# -- counts ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Counts:
    """Weighted counts of each class: right answers, answers, and images; (C,) each."""

    right: Array
    answered: Array
    true: Array


def _counts(true_N: Array, answer_N: Array, weight_N: Array, num_classes: int) -> _Counts:
    return _Counts(
        right=np.bincount(true_N, weights=weight_N * (true_N == answer_N), minlength=num_classes),
        answered=np.bincount(answer_N, weights=weight_N, minlength=num_classes),
        true=np.bincount(true_N, weights=weight_N, minlength=num_classes),
    )


def _class_scores(counts: _Counts) -> ClassScores:
    return ClassScores(
        precision=_share(counts.right, counts.answered),
        recall=_share(counts.right, counts.true),
        f1=_share(2 * counts.right, counts.answered + counts.true),
        num_images=counts.true.astype(np.int64),
    )


def _share(part: Array, whole: Array) -> Array:
    return np.asarray(np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0))


def _means(true_N: Array, answer_N: Array, num_classes: int, drawn: _Drawn) -> Array:
    """Return (3,): macro, micro and weighted F1 of a draw."""
    counts = _counts(true_N, answer_N, drawn.weight_N, num_classes)
    total = counts.true.sum()
    times_C = np.ones(num_classes)
    times_C[true_N[drawn.one_person_N]] = drawn.times_N[drawn.one_person_N]
    # Somebody drawn twice is two people, each with her own images once beside the strays of everybody drawn. Counting
    # her images twice against those strays would make her precision, and so every replicate, too good.
    own_C = np.maximum(times_C, 1)
    right_C, true_C = counts.right / own_C, counts.true / own_C
    strays_C = counts.answered - counts.right
    f1_C = _share(2 * right_C, right_C + strays_C + true_C)
    macro = (f1_C @ times_C) / times_C.sum()
    return np.array([macro, counts.right.sum() / total, (f1_C @ counts.true) / total])


# -- draws -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Drawn:
    """How often each image counts, how often its person was drawn, and whether its class is one person."""

    weight_N: Array
    times_N: Array
    one_person_N: Array


class _Draws:
    """The same images drawn again and again; people of known classes and strangers each among themselves."""

    def __init__(self, people_N: Array, is_unknown_N: Array, resample: Resample, num: int, seed: int) -> None:
        if resample not in ("people", "images"):
            raise ValueError(f"resample is {resample!r}; it is 'people' or 'images'")
        self.person_N = np.unique(people_N, return_inverse=True)[1]
        self.is_unknown_N, self.resample, self.num, self.seed = is_unknown_N, resample, num, seed
        ones = np.ones(len(self.person_N))
        self.all_once = _Drawn(ones, ones, ~is_unknown_N)

    def of(self, statistic: Callable[[_Drawn], Array]) -> Array:
        """Return (R, K) values of a statistic of K numbers."""
        values = [statistic(self._drawn(replicate)) for replicate in range(self.num)]
        return np.array(values) if values else np.empty((0, len(statistic(self.all_once))))

    def _drawn(self, replicate: int) -> _Drawn:
        rng = np.random.default_rng((self.seed, replicate))
        num_people = int(self.person_N.max()) + 1
        if self.resample == "people":
            times_P = np.zeros(num_people)
            for group in (~self.is_unknown_N, self.is_unknown_N):
                members = np.unique(self.person_N[group])
                if members.size:
                    times_P += np.bincount(rng.choice(members, size=members.size), minlength=num_people)
            times_N = times_P[self.person_N]
            return _Drawn(times_N, times_N, self.all_once.one_person_N)
        order = np.argsort(self.person_N, kind="stable")
        size_P = np.bincount(self.person_N, minlength=num_people)
        first_N = np.repeat(np.cumsum(size_P) - size_P, size_P)
        drawn = order[first_N + (rng.random(len(order)) * np.repeat(size_P, size_P)).astype(np.int64)]
        weight_N = np.bincount(drawn, minlength=len(order)).astype(np.float64)
        return replace(self.all_once, weight_N=weight_N)


def _summary(true_N: Array, answer_N: Array, num_classes: int, draws: _Draws, confidence: float) -> F1Summary:
    macro, micro, weighted = (float(x) for x in _means(true_N, answer_N, num_classes, draws.all_once))
    replicates = draws.of(lambda drawn: _means(true_N, answer_N, num_classes, drawn))
    intervals = _percentiles(replicates, confidence, draws.resample)
    num_right, num_images = int((true_N == answer_N).sum()), len(true_N)
    accuracy = wilson(num_right, num_images, confidence)
    intervals[1] = _wider(accuracy, intervals[1]) if draws.num else None
    if num_right == num_images and draws.num:
        intervals = [accuracy] * 3
    return F1Summary(
        macro=Estimate(macro, intervals[0]),
        micro=Estimate(micro, intervals[1]),
        weighted=Estimate(weighted, intervals[2]),
        classes=_class_scores(_counts(true_N, answer_N, draws.all_once.weight_N, num_classes)),
        num_images=num_images,
        num_classes=num_classes,
        num_replicates=draws.num,
    )


def _percentiles(replicates: Array, confidence: float, resample: Resample) -> list[Interval | None]:
    normal_quantile(confidence)  # refuses what is outside (0, 1)
    if not len(replicates):
        return [None] * replicates.shape[1]
    tail = (1 - confidence) / 2
    ends = np.quantile(replicates, [tail, 1 - tail], axis=0)
    method: Literal["identity bootstrap", "image bootstrap"] = (
        "identity bootstrap" if resample == "people" else "image bootstrap"
    )
    return [Interval(float(low), float(high), confidence, method) for low, high in ends.T]


def _wider(by_wilson: Interval, by_bootstrap: Interval | None) -> Interval:
    if by_bootstrap is None:
        return by_wilson
    both = wider(by_wilson, by_bootstrap)
    if by_bootstrap.method == "image bootstrap":
        both = replace(both, method="wider of wilson and image bootstrap")
    return both


def _checked(labels: npt.ArrayLike, predicted: npt.ArrayLike, num_classes: int) -> tuple[Array, Array]:
    true_N, answer_N = np.asarray(labels), np.asarray(predicted)
    if true_N.ndim != 1 or true_N.shape != answer_N.shape or not true_N.size:
        raise InputError(f"labels {true_N.shape} and answers {answer_N.shape} must be as many, and at least one.")
    for name, values in (("label", true_N), ("answer", answer_N)):
        if values.dtype.kind not in "iu":
            raise InputError(f"{name}s are {values.dtype}; give integers in 0..{num_classes - 1}.")
        outside = values[(values < 0) | (values >= num_classes)]
        if outside.size:
            raise InputError(f"{name} {outside[0]} is outside 0..{num_classes - 1}.")
    return true_N.astype(np.int64), answer_N.astype(np.int64)
