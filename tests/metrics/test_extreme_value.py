"""Claims about the tail: the fit is the most likely one, and its interval holds what lies beyond the data."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import genpareto, norm

from marginface.errors import InputError
from marginface.metrics.extreme_value import Tail, fit_tail, num_excesses, score_interval


@pytest.mark.parametrize("shape", [-0.3, -0.1, 0.0, 0.2])
def test_it_is_scipys_fit(shape):
    scores = np.sort(genpareto.rvs(shape, scale=0.05, size=20_000, random_state=np.random.default_rng(1)))
    tail = fit_tail(scores)
    theirs, _, scale = genpareto.fit(scores[scores > tail.level] - tail.level, floc=0)
    assert (tail.shape, tail.scale) == (pytest.approx(theirs, abs=1e-3), pytest.approx(scale, rel=1e-3))
    expected = tail.level + genpareto.isf(1e-5 / tail.share, theirs, scale=scale)
    assert tail.score(1e-5) == pytest.approx(expected, abs=2e-3 * (expected - tail.level))


@pytest.mark.parametrize("shape", [-0.2, 0.0, 0.3])
def test_score_and_rate_are_each_others_inverse(shape):
    tail = Tail(level=0.4, share=0.02, shape=shape, scale=0.03, num_excesses=100)
    for rate in (0.02, 1e-3, 1e-6):
        assert tail.rate(tail.score(rate)) == pytest.approx(rate)
    assert Tail(level=0.4, share=0.02, shape=-0.2, scale=0.03, num_excesses=100).rate(0.9) == 0.0


def test_weights_count_as_repetitions():
    rng = np.random.default_rng(2)
    scores, times = np.sort(rng.normal(size=4000)), rng.integers(0, 3, 4000)
    weighted = fit_tail(scores, times)
    excess = np.repeat(scores, times)[np.repeat(scores, times) > weighted.level] - weighted.level
    shape, _, scale = genpareto.fit(excess, floc=0)
    assert weighted.shape == pytest.approx(shape, abs=2e-3)
    assert weighted.scale == pytest.approx(scale, rel=2e-3)
    assert weighted.share == pytest.approx(len(excess) / times.sum())


def coverage(num_trials, *, num_scores, rate):
    rng, truth, held = np.random.default_rng(3), norm.isf(rate), 0
    for _ in range(num_trials):
        low, high = score_interval(np.sort(rng.normal(size=num_scores)), rate)
        held += low <= truth <= high
    return held / num_trials


def test_it_holds_the_truth_beyond_the_data_of_a_bell():
    assert coverage(10, num_scores=3000, rate=1e-4) >= 0.8


@pytest.mark.slow
@pytest.mark.parametrize("num_scores, rate", [(3000, 1e-4), (3000, 1e-5), (20_000, 1e-5)])
def test_it_covers_at_least_95_per_cent_in_a_long_simulation(num_scores, rate):
    assert coverage(200, num_scores=num_scores, rate=rate) >= 0.93  # 0.95 less two deviations of 200 trials


def test_few_or_equal_scores_are_refused():
    assert (num_excesses(3000), num_excesses(1_000_000)) == (100, 3808)
    assert num_excesses(1000) >= 50
    with pytest.raises(InputError, match=r"300 non-mated scores leave 26 for the tail"):
        fit_tail(np.arange(300.0))
    with pytest.raises(InputError, match="equal or too few"):
        fit_tail(np.concatenate([np.arange(3000.0), np.full(200, 1e4)]))
