"""F1 of answers about known people and strangers: scikit-learn is the oracle, intervals cover what they should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from marginface.errors import InputError
from marginface.metrics import (
    UNKNOWN,
    class_scores,
    confusion_counts,
    f1_difference,
    f1_summary,
    open_set_summary,
    rejection_threshold,
)


def _answers(num_images: int = 300, num_classes: int = 7, *, right: float = 0.7, seed: int = 0) -> tuple:
    rng = np.random.default_rng(seed)
    labels = rng.integers(num_classes, size=num_images)
    predicted = np.where(rng.random(num_images) < right, labels, rng.integers(num_classes, size=num_images))
    return labels, predicted


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=40))
def test_all_numbers_are_scikit_learns_also_for_absent_classes(pairs: list[tuple[int, int]]) -> None:
    labels, predicted = (np.array(side) for side in zip(*pairs, strict=True))
    every = list(range(6))
    found = f1_summary(labels, predicted, num_classes=6, num_replicates=0)
    for mean in ("macro", "micro", "weighted"):
        expected = f1_score(labels, predicted, labels=every, average=mean, zero_division=0)
        assert getattr(found, mean).value == pytest.approx(expected, abs=1e-12)
        assert getattr(found, mean).interval is None
    precision, recall, f1, support = precision_recall_fscore_support(labels, predicted, labels=every, zero_division=0)
    scores = class_scores(labels, predicted, num_classes=6)
    np.testing.assert_allclose(scores.precision, precision)
    np.testing.assert_allclose(scores.recall, recall)
    np.testing.assert_allclose(scores.f1, f1)
    np.testing.assert_array_equal(scores.num_images, support)
    expected_counts = confusion_matrix(labels, predicted, labels=every)
    np.testing.assert_array_equal(confusion_counts(labels, predicted, num_classes=6), expected_counts)


@pytest.mark.parametrize("resample", ["people", "images"])
def test_intervals_hold_the_value_and_repeat_by_seed(resample: str) -> None:
    labels, predicted = _answers()
    once, again = (
        f1_summary(labels, predicted, num_classes=7, resample=resample, num_replicates=200, seed=3) for _ in range(2)
    )
    for mean in ("macro", "micro", "weighted"):
        estimate = getattr(once, mean)
        assert estimate.interval.low < estimate.value < estimate.interval.high
        assert estimate == getattr(again, mean)


def test_drawing_people_sees_that_one_person_spoils_all_her_images() -> None:
    labels = np.repeat(np.arange(20), 50)
    predicted = np.where(labels < 4, 19, labels)  # four people are never recognised, the others always
    by_people, by_images = (
        f1_summary(labels, predicted, num_classes=20, resample=kind, num_replicates=300).macro.interval
        for kind in ("people", "images")
    )
    assert by_people.high - by_people.low > 0.25  # 16 of 20 people: 0.8 +- 2 sqrt(0.16 / 20) is 0.36 wide
    assert by_images.high - by_images.low < 0.02


def test_the_interval_over_people_covers_what_other_people_would_score() -> None:
    inside = 0
    for trial in range(60):
        rng = np.random.default_rng(trial)
        skill = rng.beta(4, 1, size=30)  # of each person, mean 0.8
        labels = np.repeat(np.arange(30), 10)
        predicted = np.where(rng.random(300) < skill[labels], labels, (labels + 1) % 30)
        interval = f1_summary(labels, predicted, num_classes=30, num_replicates=200, seed=trial).micro.interval
        inside += 0.8 in interval
    assert inside >= 52  # 95 % of 60 is 57


def test_replicates_over_people_are_neither_better_nor_worse_than_the_sample() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(40), 8)
    predicted = np.where(rng.random(320) < 0.8, labels, rng.integers(40, size=320))
    found = f1_summary(labels, predicted, num_classes=40, num_replicates=600)
    for estimate in (found.macro, found.weighted):
        middle = (estimate.interval.low + estimate.interval.high) / 2
        assert middle == pytest.approx(estimate.value, abs=0.006)


def test_without_errors_the_interval_is_wilsons_and_not_a_point() -> None:
    labels = np.arange(100) % 5
    found = f1_summary(labels, labels, num_classes=5, num_replicates=50)
    for estimate in (found.macro, found.micro, found.weighted):
        assert estimate.value == 1.0
        assert estimate.interval.low == pytest.approx(0.963, abs=1e-3)  # 1 / (1 + 1.96^2 / 100)


def test_a_difference_is_paired() -> None:
    labels, before = _answers(right=0.5)
    wrong = np.flatnonzero(labels != before)
    after = before.copy()
    after[wrong[:12]] = labels[wrong[:12]]
    found = f1_difference(labels, before, after, num_classes=7, resample="images", num_replicates=300)
    assert found["micro"].value == pytest.approx(12 / 300)
    assert found["micro"].interval.low > 0
    alone = [f1_summary(labels, a, num_classes=7, resample="images", num_replicates=300).micro for a in (before, after)]
    assert alone[1].interval.low < alone[0].interval.high, "overlapping summaries would not have shown it"
    same = f1_difference(labels, before, before, num_classes=7, num_replicates=20)
    assert (same["macro"].interval.low, same["macro"].interval.high) == (0.0, 0.0)


@pytest.mark.parametrize(("rate", "accepted"), [(0.0, 0), (0.05, 0), (0.1, 1), (0.25, 2), (0.9, 9)])
def test_the_threshold_accepts_no_more_strangers_than_asked_and_as_many_as_it_may(rate: float, accepted: int) -> None:
    scores = np.float32([0.11, 0.5, 0.3, 0.2, 0.7, 0.4, 0.6, 0.8, 0.1, 0.9])
    found = rejection_threshold(scores, unknown_accepted=rate)
    assert (scores >= found.threshold).sum() == accepted
    assert found.achieved_rate == accepted / 10


def test_ties_are_refused_together() -> None:
    assert rejection_threshold([0.5] * 10, unknown_accepted=0.3).achieved_rate == 0.0


def test_an_open_set_written_out() -> None:
    labels = np.array([0, 0, 1, 1, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN])
    predicted = np.array([0, 1, 1, 1, 0, 1, 1, 0])
    scores = np.array([0.9, 0.8, 0.7, 0.2, 0.6, 0.1, 0.2, 0.3])
    people = np.array(["a", "a", "b", "b", "x", "x", "y", "y"])
    found = open_set_summary(labels, predicted, scores, people=people, threshold=0.5, num_classes=2, num_replicates=50)
    answers = [0, 1, 1, 2, 0, 2, 2, 2]  # by hand: 2 is "unknown"
    truth = [0, 0, 1, 1, 2, 2, 2, 2]
    assert found.f1.macro.value == pytest.approx(f1_score(truth, answers, average="macro"))
    assert found.f1.weighted.value == pytest.approx(f1_score(truth, answers, average="weighted"))
    assert found.unknown_accepted.value == 0.25
    assert found.known_rejected.value == 0.25
    assert found.known_confused.value == 0.25
    assert (found.num_unknown_images, found.num_unknown_people) == (4, 2)
    assert found.unknown_accepted.interval.low == 0.0  # y, drawn twice, was never accepted


@pytest.mark.parametrize(
    ("labels", "predicted", "message"),
    [
        ([], [], "at least one"),
        ([0, 1], [0], "must be as many"),
        ([0, 2], [0, 1], "label 2 is outside 0..1"),
        ([0, 1], [0, -1], "answer -1 is outside 0..1"),
        ([0.0, 1.0], [0, 1], "give integers"),
    ],
)
def test_what_makes_no_sense_is_refused(labels: list, predicted: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        f1_summary(labels, predicted, num_classes=2)


def test_thresholds_and_open_sets_refuse_what_they_cannot_use() -> None:
    with pytest.raises(InputError, match="finite scores of strangers"):
        rejection_threshold([], unknown_accepted=0.1)
    with pytest.raises(InputError, match="unknown_accepted is 1.0"):
        rejection_threshold([0.1], unknown_accepted=1.0)
    with pytest.raises(InputError, match="both known people and strangers"):
        open_set_summary([0, 1], [0, 1], [1, 1], people=[0, 1], threshold=0, num_classes=2)
