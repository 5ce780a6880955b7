"""Claims about ten-fold accuracy: bit for bit the published loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold

from marginface.errors import InputError
from marginface.metrics import (
    contiguous_folds,
    k_fold_accuracy,
    k_fold_decisions,
    magface_k_fold_accuracy,
    wilson,
)
from tests.helpers import reference_metrics as slow
from tests.helpers.scores import bells


def cosines(num=600, *, seed=0, decimals=None):
    scores, mated = bells(num // 2, num // 2, gap=2.5, seed=seed)
    scores = np.tanh(scores / 4)
    return (scores if decimals is None else scores.round(decimals)).astype(np.float32), mated


@pytest.mark.parametrize("seed, decimals", [(0, None), (1, None), (2, 2), (3, 1)])
def test_accuracy_is_bit_equal_to_the_papers_loop(seed, decimals):
    scores, mated = cosines(seed=seed, decimals=decimals)
    folds = contiguous_folds(len(scores))
    accuracies, distances = slow.ten_fold_as_papers(scores, mated, folds)
    ours = k_fold_accuracy(scores, mated)
    assert list(ours.fold_accuracies) == accuracies
    assert (ours.mean, ours.std) == (float(np.mean(accuracies)), float(np.std(accuracies)))
    np.testing.assert_allclose([2 - 2 * t for t in ours.thresholds], distances, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(-20, 20), st.booleans(), st.integers(0, 3)), min_size=8, max_size=40))
def test_any_folds_and_ties_are_bit_equal_to_the_papers_loop(rows):
    scores, mated, folds = (np.array(column) for column in zip(*rows, strict=True))
    if len(np.unique(mated)) < 2 or len(np.unique(folds)) < 2:
        return
    accuracies, _ = slow.ten_fold_as_papers(scores / 20, mated, folds)
    assert list(k_fold_accuracy(scores / 20, mated, folds).fold_accuracies) == accuracies


def test_of_a_plateau_the_lowest_distance_is_taken():
    scores, mated = np.array([0.75, 0.1] * 10), np.array([True, False] * 10)
    assert k_fold_accuracy(scores, mated).thresholds[0] == pytest.approx(1 - 0.51 / 2)  # d = 0.5 needs d < 0.51


def test_counts_interval_and_standard_error():
    scores, mated = cosines()
    result = k_fold_accuracy(scores, mated)
    correct = k_fold_decisions(scores, mated).correct
    assert (result.num_pairs, result.num_correct) == (600, int(correct.sum()))
    assert result.interval == wilson(result.num_correct, 600)
    assert result.standard_error == pytest.approx(np.std(result.fold_accuracies, ddof=1) / 10**0.5)


@pytest.mark.parametrize("num_pairs", [10, 19, 600, 605])
def test_default_folds_are_those_of_an_unshuffled_kfold(num_pairs):
    expected = np.empty(num_pairs, int)
    for fold, (_, test) in enumerate(KFold(10, shuffle=False).split(np.zeros(num_pairs))):
        expected[test] = fold
    np.testing.assert_array_equal(contiguous_folds(num_pairs), expected)


def test_exact_thresholds_serve_scores_that_are_not_cosines():
    scores, mated = bells(300, 300, gap=4)
    on_another_scale = k_fold_accuracy(scores * 100 + 500, mated, thresholds="exact")
    assert on_another_scale.fold_accuracies == k_fold_accuracy(scores, mated, thresholds="exact").fold_accuracies
    assert on_another_scale.mean > 0.95
    assert 500 < on_another_scale.thresholds[0] < 900


def test_exact_thresholds_agree_with_a_loop():
    scores, mated = cosines(200, seed=5)
    folds = contiguous_folds(200)
    for fold, accuracy in enumerate(k_fold_accuracy(scores, mated, thresholds="exact").fold_accuracies):
        train = folds != fold
        distinct = np.unique(scores[train])
        midpoints = [
            np.nextafter(distinct[-1], np.float32(9)),
            *((distinct[1:] + distinct[:-1]) / 2)[::-1],
            distinct[0],
        ]
        best = max(midpoints, key=lambda t: float(np.mean((scores[train] >= t) == mated[train])))
        assert accuracy == float(np.mean((scores[~train] >= best) == mated[~train]))


@pytest.mark.parametrize(
    "folds, message", [([0] * 20, "in one fold"), ([0, 1], "One fold per score"), (None, "cannot be cut into 30 folds")]
)
def test_folds_that_do_not_fit_are_refused(folds, message):
    with pytest.raises(InputError, match=message):
        k_fold_accuracy(np.arange(20) / 20, np.arange(20) > 9, folds, num_folds=30)


def test_magfaces_convention_is_that_of_its_script_written_out():
    rng = np.random.default_rng(3)
    mated = np.arange(200) // 5 % 2 == 0
    left = rng.normal(size=(200, 6)) + 1.5
    right = np.where(mated[:, None], left + rng.normal(size=(200, 6)), rng.normal(size=(200, 6)) + 1.5)
    folds = contiguous_folds(200)
    grid, accuracies = np.arange(0, 4, 0.01), []
    for fold in range(10):
        train, test = folds != fold, folds == fold
        mean = np.mean(np.concatenate([left[train], right[train]]), axis=0)
        a, b = left - mean, right - mean
        cosine = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
        distance = np.arccos(np.clip(cosine, -1, 1)) / np.pi
        best = int(np.argmax([np.mean((distance[train] < t) == mated[train]) for t in grid]))
        accuracies.append(float(np.mean((distance[test] < grid[best]) == mated[test])))
    found = magface_k_fold_accuracy(left.astype(np.float32), right.astype(np.float32), mated)
    assert found.fold_accuracies == tuple(accuracies)
    assert found.num_pairs == 200


def test_magfaces_convention_refuses_embeddings_that_are_not_finite():
    left = np.ones((20, 2))
    left[3] = np.nan
    with pytest.raises(InputError, match="NaN"):
        magface_k_fold_accuracy(left, np.ones((20, 2)), np.arange(20) % 2)
