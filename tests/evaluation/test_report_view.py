"""Who can be told apart, and what the table of all sets holds."""

from __future__ import annotations

import pytest

from marginface.evaluation.report_view import Measure, measures_of, overlap, slug
from tests.evaluation.made_up import evaluation, identification


def estimate(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


LOW, MIDDLE, HIGH = estimate(0.1, 0.05, 0.15), estimate(0.14, 0.12, 0.2), estimate(0.4, 0.3, 0.5)


@pytest.mark.parametrize(
    ("estimates", "higher", "verdicts"),
    [
        ([HIGH, MIDDLE, LOW], False, ["", "tied", "best"]),
        ([HIGH, MIDDLE, LOW], True, ["best", "", ""]),
        ([LOW, LOW, HIGH], False, ["level", "level", ""]),
        ([LOW, None, HIGH], False, ["best", "", ""]),
        ([LOW], False, [""]),
        ([None, LOW], False, ["", ""]),
    ],
)
def test_the_best_and_what_overlaps_with_it(estimates, higher: bool, verdicts: list[str]) -> None:
    assert Measure(label="x", estimates=estimates, higher_is_better=higher).verdicts == verdicts


def test_intervals_that_touch_overlap_and_a_missing_one_tells_nothing_apart() -> None:
    assert overlap(LOW, estimate(0.2, 0.15, 0.3))
    assert not overlap(LOW, estimate(0.2, 0.1501, 0.3))
    assert overlap(LOW, {"value": 0.9, "low": None, "high": None})


def test_names_that_serve_in_files() -> None:
    assert [slug(name) for name in ("LFW (two folds)", "ijbc-1n", "–")] == ["lfw-two-folds", "ijbc-1n", "set"]


def test_measures_of_pairs_and_searches() -> None:
    pairs = [evaluation(name).to_json() for name in ("a", "b")]
    assert [m.label.replace("\u00a0", " ") for m in measures_of(pairs)] == [
        "Equal error rate",
        "Accuracy, 10 folds",
        "True pairs refused at FMR 1 %",
        "True pairs refused at FMR 0.1 %",
    ]
    searches = [identification(name, galleries=2).to_json() for name in ("a", "b")]
    assert measures_of(searches)[0].label == "Rank-1"  # the mean over the galleries
    assert measures_of(searches)[0].estimates[1] == searches[1]["average"]["ranks"][0]
