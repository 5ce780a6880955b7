"""Claims about Wilson's interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest, norm, t

from marginface.errors import InputError
from marginface.metrics import Interval, wider, wilson
from marginface.metrics.intervals import effective_wilson, expanded_tail


@pytest.mark.parametrize("successes, trials", [(0, 1), (1, 1), (0, 3000), (1, 3000), (5990, 6000), (17, 40)])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_it_equals_scipys(successes, trials, confidence):
    theirs = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    ours = wilson(successes, trials, confidence)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_no_error_seen_is_not_no_error():
    assert wilson(0, 3000).low == 0.0
    assert wilson(0, 3000).high == pytest.approx(3.84 / 3000, rel=0.01)
    assert wilson(3000, 3000).high == 1.0


@pytest.mark.parametrize("rate, trials", [(0.01, 3000), (0.07, 500), (0.3, 100)])
def test_it_covers_93_to_97_per_cent_of_independent_trials(rate, trials):
    counts = np.arange(trials + 1)
    covered = [rate in wilson(int(count), trials) for count in counts]
    assert 0.93 <= float(binom.pmf(counts, trials, rate) @ covered) <= 0.97  # exact, no simulation needed


def test_the_wider_takes_the_outer_ends():
    bootstrap = Interval(0.0, 0.1, 0.95, "identity bootstrap")
    joined = wider(Interval(0.02, 0.2, 0.95, "wilson"), bootstrap)
    assert (joined.low, joined.high) == (0.0, 0.2)


def test_an_effective_number_of_independent_trials_with_many_people_is_wilsons():
    found = effective_wilson(0.1, 1000, design_effect=4.0, num_units=10**6)
    plain = wilson(25, 250)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=1e-5)
    assert effective_wilson(0.1, 1000, design_effect=0.2, num_units=10**6).low == pytest.approx(wilson(100, 1000).low)


def test_few_people_widen_an_effective_number_as_students_t_does():
    few = effective_wilson(0.5, 1000, design_effect=1.0, num_units=10)
    many = effective_wilson(0.5, 1000, design_effect=1.0, num_units=10**6)
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(t.ppf(0.975, 9) / 1.96, rel=0.01)


def test_expanded_percentiles_of_a_mean_hold_where_plain_ones_are_too_narrow():
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(3000, 8))  # eight people
    means = samples.mean(axis=1)
    spread = samples.std(axis=1) / 8**0.5  # of the replicates' mean
    for tail, expected in ((0.025, 0.885), (expanded_tail(0.95, 8), 0.95)):
        assert (np.abs(means) <= -norm.ppf(tail) * spread).mean() == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize(
    "arguments, message",
    [((1, 0), "at least one trial"), ((5, 3), "do not fit"), ((-1, 3), "do not fit"), ((1, 3, 95), "between 0 and 1")],
)
def test_counts_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        wilson(*arguments)
