"""The interval of FNMR at FMR where few false matches fix the threshold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, norm

from marginface.metrics import sort_scores, summarise
from marginface.metrics.melded import melded_fnmr_interval


def coverage(num_trials, *, num_mated, num_non_mated, fmr, gap=2.5, seed=0):
    """Return how often the interval lay above, and below, the true FNMR of independent pairs."""
    rng, truth = np.random.default_rng(seed), norm.cdf(norm.isf(fmr) - gap)
    missed = np.zeros(2)
    for _ in range(num_trials):
        scores = np.append(rng.normal(gap, 1, num_mated), rng.normal(0, 1, num_non_mated))
        found = melded_fnmr_interval(sort_scores(scores, np.arange(len(scores)) < num_mated), fmr=fmr)
        missed += (found.low > truth, found.high < truth)
    return missed / num_trials


@pytest.mark.parametrize("expected", [3, 30])
def test_it_covers_95_per_cent_from_the_rule_of_three_on(expected):
    """150 trials: +-1.8 % is one standard error."""
    above, below = coverage(150, num_mated=300, num_non_mated=expected * 20, fmr=0.05)
    assert 0.9 <= 1 - above - below <= 0.995
    assert max(above, below) <= 0.06


@pytest.mark.slow
@pytest.mark.parametrize("expected", [3, 10, 30])
@pytest.mark.parametrize("num_mated", [100, 1000])
def test_it_covers_93_to_98_per_cent_in_a_long_simulation(expected, num_mated):
    """2,000 trials: +-0.5 % is one standard error. Few errors of both kinds (3 and 100 x 21 %) cover a little more."""
    above, below = coverage(2000, num_mated=num_mated, num_non_mated=expected * 20, fmr=0.05, seed=1)
    assert 0.94 <= 1 - above - below <= (0.985 if num_mated == 100 else 0.975)


def test_where_no_mated_score_is_near_the_threshold_it_is_the_interval_of_a_count():
    scores, mated = np.append(np.full(20, -5.0), np.full(180, 5.0)), np.arange(1200) < 200
    scores = np.append(scores, np.random.default_rng(0).normal(0, 0.1, 1000))
    found = melded_fnmr_interval(sort_scores(scores, mated), fmr=0.1)
    assert (found.low, found.high) == pytest.approx(beta.ppf([0.025, 0.975], 20.5, 180.5), abs=1e-8)


def test_thin_points_and_points_without_people_take_it():
    rng = np.random.default_rng(1)
    scores, mated = np.append(rng.normal(2.5, 1, 300), rng.normal(0, 1, 300)), np.arange(600) < 300
    people = np.arange(600)
    for settings, methods in (
        ({}, ["melded binomials", "melded binomials"]),
        (
            {"identity_left": people, "identity_right": people + 1000 * ~mated, "num_replicates": 20},
            ["wider of wilson and identity bootstrap"] * 2,
        ),
    ):
        row = summarise(scores / 10, mated, fmr_targets=(0.1, 0.01), **settings)
        assert [point.interval.method for point in row.fnmr_at_fmr] == methods
        thin = melded_fnmr_interval(sort_scores(scores, mated), fmr=0.01)
        assert row.fnmr_at_fmr[1].interval.high >= thin.high
