"""Claims about how much data a rate needs."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, poisson

from marginface.errors import InputError
from marginface.metrics import fmr_support, support
from marginface.metrics.support import comparisons_needed, people_needed, shortfall_sentence, supported_rate


def test_the_examples_in_the_docstrings_are_what_is_returned():
    results = doctest.testmod(support)
    assert results.attempted >= 5
    assert results.failed == 0


@given(st.floats(1e-7, 0.4))
def test_what_is_said_to_be_needed_is_just_enough(rate):
    needed = comparisons_needed(rate)
    assert fmr_support(needed, rate) == "supported"
    assert needed == 1 or fmr_support(needed - 1, rate) != "supported" or (needed - 1) * rate > 30 - 1e-5
    people = people_needed(rate)
    assert people * (people - 1) // 2 >= needed > (people - 1) * (people - 2) // 2
    assert supported_rate(needed) <= rate * (1 + 1e-6)


def test_the_two_rules_say_what_they_promise():
    assert beta.ppf(0.95, 1, 1000) == pytest.approx(supported_rate(1000, errors=3), rel=0.01)  # exact bound, no errors
    inside = poisson.cdf(39, 30) - poisson.cdf(20, 30)  # within 30 % of the 30 expected
    assert inside == pytest.approx(0.9, abs=0.03)


def test_a_supported_rate_needs_no_sentence():
    assert shortfall_sentence(3000, 0.01) == ""
    assert "300,000 comparisons would do" in shortfall_sentence(3000, 1e-4)


def test_a_rate_outside_its_range_is_refused():
    with pytest.raises(InputError, match="between 0 and 1"):
        comparisons_needed(0)
