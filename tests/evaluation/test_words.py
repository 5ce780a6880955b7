"""Numbers are said with the digits that their intervals support."""

from __future__ import annotations

import pytest
from tests.evaluation.made_up import record

from marginface.evaluation import words


@pytest.mark.parametrize(
    ("value", "low", "high", "said"),
    [
        (0.1234, 0.101, 0.149, "12.3 % [10.1, 14.9]"),
        (0.00667, 0.0042, 0.0103, "0.67 % [0.42, 1.03]"),
        (0.99833, 0.9980, 0.9986, "99.833 % [99.800, 99.860]"),
        (0.5, None, None, "50.0 %"),
    ],
)
def test_percentages_and_intervals(value: float, low: float | None, high: float | None, said: str) -> None:
    estimate = {"value": value, "low": low, "high": high}
    text = f"{words.percent_of(estimate)} {words.interval_of(estimate)}".strip()
    assert text.replace("\u00a0", " ") == said


@pytest.mark.parametrize(
    ("rate", "said"),
    [(0.01, "one in 100"), (0.0103, "one in 97"), (1e-4, "one in 10,000"), (0.5, "50.0 %"), (0.0, "none")],
)
def test_one_in(rate: float, said: str) -> None:
    assert words.one_in(rate).replace("\u00a0", " ") == said


def test_rate_names() -> None:
    assert [words.rate_name(r).replace("\u00a0", " ") for r in (1e-2, 1e-3, 1e-4, 1e-6)] == [
        "1 %",
        "0.1 %",
        "0.01 %",
        "1e-6",
    ]


def test_headline_says_threshold_both_errors_and_counts() -> None:
    text = words.headline(record("trained", separation=3.2, seed=3)).replace("\u00a0", " ")
    assert text.startswith("trained: at the threshold 0.3")
    assert "one in 100 pairs of strangers" in text
    assert "(30 of 3,000 comparisons)" in text
    assert "of true pairs are refused" in text


def test_limits_name_refused_and_thin_rates_and_broken_images() -> None:
    found = record("trained")
    found["counts"]["broken"] = 2
    said = " ".join(words.limits(found))
    assert "0.3 false matches; too few" in said
    assert "rests on 3 false matches" in said
    assert "2 images could not be decoded" in said
    assert "400 people" in said


def test_one_line() -> None:
    line = words.one_line(record("trained", separation=3.2, seed=3))
    assert line.startswith("lfw: accuracy 9")
    assert "EER 5" in line
    assert "accuracy" not in words.one_line(record("trained", folds=False))
