"""Claims about thresholds: they are the metric's own, their intervals hold what other people would have asked for."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.metrics import fnmr_at_fmr, wilson
from marginface.metrics.thresholds import lower_threshold, thresholds_at_fmr
from tests.helpers.scores import people_pairs


def test_a_supported_threshold_is_that_of_fnmr_at_fmr():
    scores, mated, left, right = people_pairs(np.random.default_rng(0), num_non_mated=3000)
    (found,) = thresholds_at_fmr(scores.round(2), mated, left, right, fmr_targets=(0.02,), num_replicates=50)
    point = fnmr_at_fmr(scores.round(2), mated, fmr=0.02)
    assert (found.score, found.achieved_fmr, found.fnmr) == (point.threshold, point.achieved_fmr, point.value)
    assert (found.support, found.extrapolated, found.shortfall) == ("supported", False, "")
    assert (found.num_mated, found.num_non_mated, found.num_identities) == (160, 3000, 40)
    assert found.low < found.score < found.high


def test_where_the_data_cannot_support_the_rate_there_is_a_sentence_and_no_score():
    scores, mated, left, right = people_pairs(np.random.default_rng(0), num_non_mated=3000)
    thin, refused = thresholds_at_fmr(scores, mated, left, right, fmr_targets=(5e-3, 1e-4), num_replicates=5)
    assert (thin.support, refused.support) == ("thin", "refused")
    assert (thin.score, refused.score, refused.low) == (None, None, None)
    assert "300,000 comparisons would do" in refused.shortfall


def test_extrapolation_only_when_asked_for_and_marked():
    scores, mated, left, right = people_pairs(np.random.default_rng(0), num_non_mated=5000, person_noise=0.3)
    seen, beyond = thresholds_at_fmr(
        scores, mated, left, right, fmr_targets=(0.01, 1e-5), extrapolate=True, num_replicates=40
    )
    assert (seen.extrapolated, beyond.extrapolated) == (False, True)
    assert seen.score < beyond.low < beyond.score < beyond.high
    assert beyond.low < NormalDist().inv_cdf(1 - 1e-5) < beyond.high
    assert beyond.shortfall  # said all the same


def test_at_most_the_promised_share_of_mated_pairs_lies_below_the_lower_threshold():
    mated = np.random.default_rng(1).normal(0.5, 0.1, 3000).round(2)  # ties
    lower = lower_threshold(mated, fnmr=0.01)
    assert (mated < lower).mean() <= 0.01 < (mated <= lower).mean()
    with pytest.raises(InputError, match="102 mated comparisons cannot support FNMR 0.01: .* support FNMR 0.29"):
        lower_threshold(mated[:102], fnmr=0.01)


def coverage(num_trials, *, person_noise, num_replicates, num_people=60):
    """Return how often the nominal 95 % interval of the threshold held the true one, and how often Wilson's alone."""
    fmr, rng, held = 0.05, np.random.default_rng(7), np.zeros(2)
    truth = NormalDist().inv_cdf(1 - fmr)
    for trial in range(num_trials):
        scores, mated, left, right = people_pairs(rng, num_people=num_people, person_noise=person_noise)
        (found,) = thresholds_at_fmr(
            scores, mated, left, right, fmr_targets=(fmr,), num_replicates=num_replicates, seed=trial
        )
        alone = wilson(int((scores[~mated] >= truth).sum()), int((~mated).sum()))
        held += [found.low <= truth <= found.high, fmr in alone]
    return held / num_trials


def test_the_interval_holds_where_pairs_share_people_and_wilson_alone_does_not():
    both, alone = coverage(40, person_noise=0.8, num_replicates=60, num_people=30)
    assert both >= 0.85
    assert alone <= 0.85


@pytest.mark.slow
@pytest.mark.parametrize("person_noise, most", [(0.0, 0.985), (0.5, 0.98), (0.8, 0.98)])
def test_it_covers_about_95_per_cent_in_a_long_simulation(person_noise, most):
    both, _ = coverage(600, person_noise=person_noise, num_replicates=200)
    assert 0.92 <= both <= most


@pytest.mark.slow
def test_wilson_covers_93_to_97_per_cent_of_simulated_independent_pairs():
    rng, held = np.random.default_rng(8), 0
    for _ in range(2000):
        scores = rng.normal(size=3000)
        held += 0.01 in wilson(int((scores >= NormalDist().inv_cdf(0.99)).sum()), 3000)
    assert 0.93 <= held / 2000 <= 0.97
