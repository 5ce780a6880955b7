"""Scores cut out of products are the scores of the pairs, in the order of the list."""

import numpy as np
import pytest

from marginface.protocols import pair_scores as module
from marginface.protocols.pair_scores import pair_scores


@pytest.fixture
def unit():
    vectors = np.random.default_rng(0).normal(size=(60, 16)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("flipped", [True, False])
def test_dense_pairs_score_as_gathered_ones_in_any_order(unit, monkeypatch, ordered, flipped):
    rng = np.random.default_rng(1)
    cells = rng.choice(20 * 35, 500, replace=False)
    left, right = np.divmod(np.sort(cells) if ordered else cells, 35)
    left, right = (right + 21, left) if flipped else (left, right + 21)
    expected = (unit.astype(np.float64) @ unit.T.astype(np.float64))[left, right]
    gathered = pair_scores(unit, left, right)
    monkeypatch.setattr(module, "MANY_PAIRS", 1)
    monkeypatch.setattr(module, "BLOCK_CELLS", 35 * 6)  # blocks of six rows, the last one shorter
    np.testing.assert_allclose(pair_scores(unit, left.astype(np.int32), right.astype(np.int32)), expected, atol=1e-6)
    np.testing.assert_allclose(gathered, expected, atol=1e-6)


def test_few_pairs_among_many_are_gathered_whatever_their_number(unit, monkeypatch):
    monkeypatch.setattr(module, "MANY_PAIRS", 1)
    monkeypatch.setattr(module, "DENSE_SHARE", 0.1)
    monkeypatch.setattr(module, "_from_products", None)
    left, right = np.arange(0, 60, 2), np.arange(1, 60, 2)
    np.testing.assert_allclose(pair_scores(unit, left, right), (unit[left] * unit[right]).sum(1), atol=1e-6)


def test_a_score_stays_within_one_and_no_pairs_are_no_scores(unit):
    same = np.arange(60)
    assert pair_scores(unit, same, same).max() <= 1
    assert len(pair_scores(unit, same[:0], same[:0])) == 0
