"""Resampling the tail alone gives what resampling everything gives."""

from __future__ import annotations

import numpy as np
import pytest

from marginface.metrics import identity_bootstrap, summarise
from marginface.metrics import tail_bootstrap as module
from marginface.metrics.tail_bootstrap import tail_bootstrap
from tests.helpers.scores import people_pairs


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("decimals", [None, 1])
def test_intervals_are_those_of_the_whole_bootstrap(monkeypatch, dense, decimals):
    monkeypatch.setattr(module, "DENSE_PEOPLE", 1000 if dense else 1)
    scores, mated, left, right = people_pairs(np.random.default_rng(5), num_people=60, mated_each=4, num_non_mated=4000)
    scores = scores if decimals is None else scores.round(decimals)
    settings = {"fmr_targets": (0.05, 0.01, 1e-5), "num_replicates": 60, "seed": 3}
    whole = identity_bootstrap(scores, mated, left, right, **settings)
    tail = tail_bootstrap(scores, mated, left, right, **settings)
    assert tail.num_identities == whole.num_identities
    assert set(tail.fnmr_at_fmr) == set(whole.fnmr_at_fmr) == {0.05, 0.01}
    for rate in (0.05, 0.01):
        for kind in ("fnmr_at_fmr", "fmr_at_threshold"):
            one, other = getattr(tail, kind)[rate], getattr(whole, kind)[rate]
            assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-6)
    if decimals is None:  # ties are stepped over, not interpolated; at millions of scores nobody sees the difference
        one, other = tail.equal_error_rate, whole.equal_error_rate
        assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=4e-3)


def test_people_named_by_words_are_numbered_too():
    scores, mated, left, right = people_pairs(np.random.default_rng(5), num_people=20, mated_each=4, num_non_mated=500)
    names = np.array([f"p{i}" for i in range(20)])
    settings = {"fmr_targets": (0.05,), "num_replicates": 20}
    by_name = tail_bootstrap(scores, mated, names[left], names[right], **settings)
    assert by_name.num_identities == tail_bootstrap(scores, mated, left, right, **settings).num_identities == 20


def test_summaries_of_large_sets_take_the_tail(monkeypatch):
    monkeypatch.setattr("marginface.metrics.summary.MANY", 100)
    monkeypatch.setattr("marginface.metrics.summary.identity_bootstrap", None)
    scores, mated, left, right = people_pairs(np.random.default_rng(5), num_people=40, mated_each=4, num_non_mated=500)
    found = summarise(scores, mated, identity_left=left, identity_right=right, num_replicates=20, fmr_targets=(0.05,))
    assert found.num_replicates == 20
    assert found.fnmr_at_fmr[0].interval.method == "wider of wilson and identity bootstrap"
