"""Every pair, counted block by block: what a list of all scores would say, to one bin."""

from __future__ import annotations

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.metrics import all_pairs as module
from marginface.metrics import fnmr_at_fmr
from marginface.metrics.all_pairs import BinnedScores, binned_fnmr_at_fmr, score_all_pairs


def drawn(num=150, people=20, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(people, size=num)
    vectors = (rng.normal(size=(people, 16))[labels] + rng.normal(size=(num, 16))).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), labels


@pytest.mark.parametrize("block", [2048, 37])
def test_counts_are_those_of_all_scores_in_bins(monkeypatch, block):
    monkeypatch.setattr(module, "BLOCK", block)
    unit, labels = drawn()
    seen = []
    found = score_all_pairs(unit, labels, num_bins=64, progress=lambda done, total: seen.append((done, total)))
    left, right = np.triu_indices(len(unit), 1)
    scores, mated = (unit @ unit.T)[left, right], labels[left] == labels[right]
    assert (found.num_mated, found.num_non_mated) == (mated.sum(), (~mated).sum())
    assert seen[-1] == (len(left), len(left))
    for kind, wanted in ((found.mated, True), (found.non_mated, False)):
        expected = np.histogram(scores[mated == wanted], bins=64, range=(-1, 1))[0]
        assert np.abs(np.cumsum(kind) - np.cumsum(expected)).max() <= 1  # rounding may move a score over an edge


def test_the_operating_point_is_the_exact_one_to_one_bin():
    unit, labels = drawn(400)
    left, right = np.triu_indices(len(unit), 1)
    exact = fnmr_at_fmr((unit @ unit.T)[left, right], labels[left] == labels[right], fmr=0.01)
    found = binned_fnmr_at_fmr(score_all_pairs(unit, labels), fmr=0.01)
    assert found.achieved_fmr <= 0.01
    assert abs(found.threshold - exact.threshold) <= 2 * 2 / module.NUM_BINS
    assert found.value_one_bin_lower <= exact.value <= found.value
    assert exact.false_matches - found.false_matches <= 1


def test_what_cannot_be_said_is_refused():
    unit, labels = drawn()
    with pytest.raises(InputError, match="None of the comparisons is mated"):
        binned_fnmr_at_fmr(score_all_pairs(unit, np.arange(len(unit))), fmr=0.01)
    broken = unit.copy()
    broken[7, 3] = np.nan
    with pytest.raises(InputError, match="1 embeddings are not finite, the first at position 7"):
        score_all_pairs(broken, labels)
    few = BinnedScores(np.array([0, 10]), np.array([10, 0]))
    assert binned_fnmr_at_fmr(few, fmr=0.01).support == "refused"
