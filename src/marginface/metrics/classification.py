"""Who is it, among people one knows: F1 by class, macro, micro and weighted.

    precision_c = TP_c / (TP_c + FP_c)      recall_c = TP_c / (TP_c + FN_c)      F1_c = 2 TP_c / (2 TP_c + FP_c + FN_c)

    macro       mean of F1_c over people: everybody counts the same
    weighted    mean of F1_c, each class by its number of images
    micro       F1 of all counts together; with one answer an image that is the accuracy

0 / 0 counts as 0 (scikit-learn's `zero_division=0`), and a mean runs over all classes, also those without images.

Letters: N images, C classes, P people, R replicates. With strangers, see `open_set.py`.

Intervals draw people again (both the images of a person and her place in the macro mean come as often as she is
drawn): that is how far the number holds for other people of the same kind. `resample="images"` keeps the people and
draws each one's images again: for these very people, if their images were independent, which those of one occasion are
not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.metrics.intervals import wilson
from marginface.metrics.replicates import Drawn, Draws, Estimate, Resample, percentiles, wider_of

Array = npt.NDArray


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


def confusion_counts(labels: npt.ArrayLike, predicted: npt.ArrayLike, *, num_classes: int) -> Array:
    """Return (C, C) int64 counts: row the class that it is, column the class that was answered.

    Raises:
        InputError: lengths that differ, no images, a class outside 0..C-1.
    """
    true_N, answer_N = checked_answers(labels, predicted, num_classes)
    flat = np.bincount(true_N * num_classes + answer_N, minlength=num_classes**2)
    return flat.reshape(num_classes, num_classes)


def class_scores(labels: npt.ArrayLike, predicted: npt.ArrayLike, *, num_classes: int) -> ClassScores:
    """Return precision, recall and F1 of each class.

    Raises:
        InputError: lengths that differ, no images, a class outside 0..C-1.
    """
    true_N, answer_N = checked_answers(labels, predicted, num_classes)
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
    true_N, answer_N = checked_answers(labels, predicted, num_classes)
    draws = Draws(true_N, np.zeros(len(true_N), dtype=np.bool_), resample, num_replicates, seed)
    return summary_of(true_N, answer_N, num_classes, draws, confidence)


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
    true_N, before_N = checked_answers(labels, before, num_classes)
    _, after_N = checked_answers(labels, after, num_classes)
    draws = Draws(true_N, np.zeros(len(true_N), dtype=np.bool_), resample, num_replicates, seed)
    values = _means(true_N, after_N, num_classes, draws.all_once) - _means(
        true_N, before_N, num_classes, draws.all_once
    )
    replicates = draws.of(lambda drawn: _means(true_N, after_N, num_classes, drawn)) - draws.of(
        lambda drawn: _means(true_N, before_N, num_classes, drawn)
    )
    intervals = percentiles(replicates, confidence, resample)
    return {
        name: Estimate(float(value), interval)
        for name, value, interval in zip(("macro", "micro", "weighted"), values, intervals, strict=True)
    }


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


def _means(true_N: Array, answer_N: Array, num_classes: int, drawn: Drawn) -> Array:
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


def summary_of(true_N: Array, answer_N: Array, num_classes: int, draws: Draws, confidence: float) -> F1Summary:
    """Return the three means for checked answers, with the intervals of these draws."""
    macro, micro, weighted = (float(x) for x in _means(true_N, answer_N, num_classes, draws.all_once))
    replicates = draws.of(lambda drawn: _means(true_N, answer_N, num_classes, drawn))
    intervals = percentiles(replicates, confidence, draws.resample)
    num_right, num_images = int((true_N == answer_N).sum()), len(true_N)
    accuracy = wilson(num_right, num_images, confidence)
    intervals[1] = wider_of(accuracy, intervals[1]) if draws.num else None
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


def checked_answers(labels: npt.ArrayLike, predicted: npt.ArrayLike, num_classes: int) -> tuple[Array, Array]:
    """Return labels and answers as int64, both (N,) in 0..C-1, or refuse them in words."""
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
