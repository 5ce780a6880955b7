"""One threshold for all, and what it does to each group."""

from __future__ import annotations

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.metrics import differential_summary, fnmr_at_fmr


def made(seed=0, num=4000):
    rng = np.random.default_rng(seed)
    mated = rng.random(num) < 0.5
    left = rng.integers(2, size=num)
    right = np.where(mated | (rng.random(num) < 0.5), left, 1 - left)
    same_group = left == right
    scores = rng.normal(0, 1, num) + 3 * mated + 0.8 * (~mated & same_group & (left == 1))  # group b's strangers
    return scores, mated, left, right


def test_rates_of_groups_are_those_counted_by_hand():
    scores, mated, left, right = made()
    found = differential_summary(scores, mated, left, right, groups=("a", "b"), fmr=0.05)
    point = fnmr_at_fmr(scores, mated, fmr=0.05)
    assert found.threshold == point.threshold
    for g, name in enumerate(("a", "b")):
        inside = (left == g) & (right == g)
        (fmr,) = [r.rate for r in found.fmr if r.group == name]
        (fnmr,) = [r.rate for r in found.fnmr if r.group == name]
        assert fmr.value == (scores[inside & ~mated] >= point.threshold).mean()
        assert fnmr.value == (scores[inside & mated] < point.threshold).mean()
        assert fmr.trials == (inside & ~mated).sum()
    (across,) = found.fmr_across
    assert across.rate.value == (scores[(left != right) & ~mated] >= point.threshold).mean()
    ratios = found.fmr_ratios
    assert (ratios.highest, ratios.lowest) == ("b", "a")
    assert ratios.highest_over_lowest == pytest.approx(found.fmr[1].rate.value / found.fmr[0].rate.value)
    assert 1 < ratios.at_least < ratios.highest_over_lowest
    assert ratios.highest_over_geometric_mean == pytest.approx(ratios.highest_over_lowest**0.5)


def test_a_group_without_errors_has_no_ratio_but_a_bound():
    scores = np.array([0.9] * 50 + [0.1] * 50 + [0.95, 0.96] * 20 + [0.1] * 400)
    mated = np.arange(len(scores)) < 100
    group = np.concatenate([[0] * 50, [1] * 50, [1] * 40, [0] * 400])
    found = differential_summary(scores, mated, group, group, groups=("a", "b"), threshold=0.5)
    assert found.point is None
    assert found.fmr_ratios.highest_over_lowest is None
    assert found.fmr_ratios.at_least > 1
    assert any("fewer than 30 errors" in sentence for sentence in found.caveats)


def test_comparisons_without_a_group_count_in_the_threshold_only():
    scores, mated, left, right = made()
    left = np.where(np.arange(len(left)) % 3 == 0, -1, left)
    found = differential_summary(scores, mated, left, right, groups=("a", "b"), fmr=0.05)
    assert found.num_without_group == (left < 0).sum()
    assert found.threshold == fnmr_at_fmr(scores, mated, fmr=0.05).threshold


def test_people_widen_intervals():
    scores, mated, left, right = made()
    person = np.arange(len(scores)) // 100
    alone = differential_summary(scores, mated, left, right, groups=("a", "b"), fmr=0.05)
    shared = differential_summary(
        scores, mated, left, right, groups=("a", "b"), fmr=0.05, identity_left=person, identity_right=person
    )
    for one, other in zip(alone.fmr, shared.fmr, strict=True):
        assert other.rate.interval.low <= one.rate.interval.low
        assert other.rate.interval.high >= one.rate.interval.high


def test_refusals():
    scores, mated, left, right = made()
    with pytest.raises(InputError, match="either the target FMR"):
        differential_summary(scores, mated, left, right, groups=("a", "b"))
    with pytest.raises(InputError, match="cannot set a threshold at FMR 1e-06"):
        differential_summary(scores, mated, left, right, groups=("a", "b"), fmr=1e-6)
    with pytest.raises(InputError, match="One group"):
        differential_summary(scores, mated, left, right, groups=("a",), fmr=0.05)
