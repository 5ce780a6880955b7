"""Where a search draws the line."""

from __future__ import annotations

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.search.operating_point import fmr_for, fpir_of, search_point
from tests.search.made_up import THRESHOLDS


def test_fpir_is_what_a_simulation_of_strangers_counts() -> None:
    rng = np.random.default_rng(0)
    fmr, num_people, searches = 0.004, 100, 20_000
    named = (rng.random((searches, num_people)) < fmr).any(axis=1).mean()
    expected = fpir_of(fmr, num_people)
    assert abs(named - expected) < 4 * (expected * (1 - expected) / searches) ** 0.5


def test_tiny_rates_do_not_round_to_nothing() -> None:
    assert fpir_of(1e-18, 1000) == pytest.approx(1e-15)
    assert fmr_for(fpir_of(1e-6, 12345), 12345) == pytest.approx(1e-6)


def test_the_largest_rate_that_does_not_exceed_what_is_asked_for() -> None:
    assert search_point(THRESHOLDS, 10, fmr=1e-3).threshold == 0.5
    assert search_point(THRESHOLDS, 10, fmr=5e-4).threshold == 0.7
    point = search_point(THRESHOLDS, 1000, fpir=0.1)
    assert point.threshold == 0.7, "FMR 1e-3 among a thousand people would be an FPIR of 0.63"
    assert point.fpir == pytest.approx(0.095, abs=1e-3)
    assert "0.095" in point.words()


def test_a_threshold_by_hand_promises_nothing() -> None:
    point = search_point((), 10, threshold=0.3)
    assert point.fmr is None
    assert "not known" in point.words()


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("has 0.001, 0.0001 only", {"fmr": 1e-5}),
        ("between 0 and 1", {"fmr": 0.0}),
        ("between 0 and 1", {"fpir": 1.5}),
        ("only one", {"fmr": 1e-3, "threshold": 0.5}),
        ("only one", {}),
        ("cosine", {"threshold": 70.0}),
    ],
)
def test_refusals(words: str, asked: dict[str, float]) -> None:
    with pytest.raises(InputError, match=words):
        search_point(THRESHOLDS, 10, **asked)


def test_a_card_without_thresholds() -> None:
    with pytest.raises(InputError, match="calibrated"):
        search_point((), 10, fmr=1e-4)
