"""Numbers are said with the digits that their intervals support."""

from __future__ import annotations

import pytest

from marginface.evaluation import words
from tests.evaluation.made_up import evaluation


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


@pytest.mark.parametrize(
    ("lowest", "highest", "said"), [(-0.5, 0.99, "0.312"), (0.3, 0.36, "0.3123"), (0.312, 0.3125, "0.312346")]
)
def test_scores_that_lie_close_get_more_decimals(lowest: float, highest: float, said: str) -> None:
    assert words.score_of(0.3123456, {"scores": {"edges": [lowest, highest]}}) == said


def test_rate_names() -> None:
    assert [words.rate_name(r).replace("\u00a0", " ") for r in (1e-2, 1e-3, 1e-4, 1e-6)] == [
        "1 %",
        "0.1 %",
        "0.01 %",
        "1e-6",
    ]


def test_headline_says_threshold_both_errors_and_counts() -> None:
    text = words.headline(evaluation("trained", separation=3.2, seed=3).to_json()).replace("\u00a0", " ")
    assert text.startswith("At the threshold 0.3")
    assert "trained takes one in 100 pairs of strangers for the same person (30 of 3,000)" in text
    assert "of true pairs (4" in text


def test_headline_names_what_baselines_refuse_at_the_same_rate() -> None:
    trained, raw = (evaluation(n, separation=s).to_json() for n, s in (("trained", 3.2), ("raw pixels", 0.6)))
    text = words.headline(trained, [raw]).replace("\u00a0", " ")
    refused = raw["operating_points"][0]["fnmr"]
    assert text.endswith(f"true pairs refused: raw pixels {100 * refused['value']:.1f} %.")


def test_limits_name_refused_and_thin_rates_and_broken_images() -> None:
    said = " ".join(words.limits(evaluation("trained", broken=("a.jpg", "b.jpg")).to_json()))
    assert "cannot support FMR 0.0001: 0.3 expected errors, 30 are needed; no number is given" in said
    assert "cannot support FMR 0.001: 3 expected errors, 30 are needed; take it as a hint" in said
    assert "2 images could not be decoded and took no part; the 6 comparisons with them are missing" in said
    assert "400 people" in said


def test_one_line() -> None:
    eer, accuracy = {"value": 0.029, "low": 0.02, "high": 0.04}, {"value": 0.973, "low": 0.965, "high": 0.98}
    said = words.one_line("lfw", accuracy=accuracy, eer=eer)
    assert said == "lfw: accuracy 97.3 % [96.5, 98.0], EER 2.9 % [2.0, 4.0]"
    assert words.one_line("lfw", accuracy=None, eer=eer) == "lfw: EER 2.9 % [2.0, 4.0]"
