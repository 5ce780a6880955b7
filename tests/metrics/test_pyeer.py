"""pyeer's numbers on the same scores: equal where both count alike, and the known difference where they do not.

`golden/pyeer.json` holds scores and answers, `golden/make_pyeer.py` made it. Where the conventions part:

- Operating points. pyeer takes the threshold whose FMR is nearest to the target, above it or below, and always answers.
  We take the largest FMR that does not exceed the target and refuse where fewer than 3 false matches are expected. Both
  agree where the target is met exactly, as with 1,000 non-mated scores, or where the nearest lies below.
- EER. pyeer gives the mean of FMR and FNMR at the better of the two thresholds around the crossing (FVC 2000); we the
  point where the straight line between the two crosses. They agree where both rates meet at a threshold.
- The end of the curve. pyeer's highest threshold is the highest score, which still matches; ours has one more, that
  nothing reaches. It matters where that score is non-mated, or where all are equal: pyeer then has no point without
  false matches, "EER 1" and "area 0".
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from marginface.metrics import area_under_roc, d_prime, equal_error_rate, error_rates, fnmr_at_fmr

GOLDEN = json.loads((Path(__file__).parent / "golden" / "pyeer.json").read_text(encoding="utf-8"))
CASES = GOLDEN["cases"]
TARGETS = {"fmr1000": 1e-3, "fmr100": 1e-2, "fmr20": 5e-2, "fmr10": 1e-1}
APART = {"all equal", "the highest score is non-mated"}


def case(name):
    sides = CASES[name]["mated"], CASES[name]["non_mated"]
    scores = np.concatenate(sides)
    return scores, np.arange(len(scores)) < len(sides[0]), CASES[name]["expected"]


@pytest.mark.parametrize("name", CASES)
def test_every_point_of_the_det_curve(name):
    scores, mated, theirs = case(name)
    curve = error_rates(scores, mated)
    at = np.searchsorted(curve.thresholds, theirs["thresholds"])
    np.testing.assert_array_equal(curve.thresholds[at], theirs["thresholds"])
    np.testing.assert_allclose(curve.fmr[at], theirs["fmr"], atol=1e-12)
    np.testing.assert_allclose(curve.fnmr[at], theirs["fnmr"], atol=1e-12)


@pytest.mark.parametrize("name", sorted(set(CASES) - {"all equal"}))
def test_area_and_decidability(name):
    scores, mated, theirs = case(name)
    assert area_under_roc(scores, mated) == pytest.approx(theirs["auc"], abs=1e-12)
    assert d_prime(scores, mated) == pytest.approx(theirs["decidability"], abs=1e-12)


@pytest.mark.parametrize("name", sorted(set(CASES) - {"all equal"}))
def test_equal_error_rates_lie_in_one_step_of_the_curve_and_agree_where_it_crosses_at_a_threshold(name):
    scores, mated, theirs = case(name)
    ours = equal_error_rate(scores, mated).value
    assert theirs["eer_low"] - 1e-12 <= ours <= theirs["eer_high"] + 1e-12
    if theirs["eer_low"] == theirs["eer_high"]:
        assert ours == pytest.approx(theirs["eer"], abs=1e-12)


@pytest.mark.parametrize("name", sorted(set(CASES) - APART))
def test_the_fnmr_without_any_false_match(name):
    scores, mated, theirs = case(name)
    curve = error_rates(scores, mated)
    first = int(np.argmax(curve.false_matches == 0))
    assert [curve.fnmr[first], curve.thresholds[first]] == pytest.approx([theirs["fmr0"], theirs["fmr0_th"]])


@pytest.mark.parametrize("name", ["continuous", "strong"])
def test_operating_points_agree_where_the_target_is_met_or_the_nearest_lies_below(name):
    scores, mated, theirs = case(name)
    for point, target in TARGETS.items():
        if name == "continuous" and point == "fmr1000":
            continue  # refused, see below
        ours = fnmr_at_fmr(scores, mated, fmr=target)
        assert target - 5e-4 < ours.achieved_fmr <= target
        assert [ours.value, ours.threshold] == pytest.approx([theirs[point], theirs[f"{point}_th"]], abs=1e-12)


def test_where_ties_jump_over_the_target_pyeer_exceeds_it_and_we_do_not():
    scores, mated, theirs = case("ties")
    ours = fnmr_at_fmr(scores, mated, fmr=0.05)
    there = float((scores[~mated] >= theirs["fmr20_th"]).mean())
    assert ours.achieved_fmr == 0.04 < 0.05 < there == 0.06
    assert ours.value > theirs["fmr20"]


def test_where_hardly_any_false_match_is_expected_pyeer_answers_and_we_refuse():
    scores, mated, theirs = case("continuous")
    assert theirs["fmr1000"] == pytest.approx(0.64)  # one false match among 1,000
    ours = fnmr_at_fmr(scores, mated, fmr=1e-3)
    assert (ours.support, ours.value) == ("refused", None)


def test_a_non_mated_score_above_all_leaves_pyeer_without_a_point_of_no_false_match():
    scores, mated, theirs = case("the highest score is non-mated")
    assert theirs["fmr0"] == 0.0  # FNMR at the FMR nearest to zero, which is one in four
    curve = error_rates(scores, mated)
    assert curve.fnmr[curve.false_matches == 0].tolist() == [1.0]


def test_equal_scores_are_chance_and_not_worse():
    scores, mated, theirs = case("all equal")
    assert (theirs["eer"], theirs["auc"]) == (1, 0.0)
    assert (equal_error_rate(scores, mated).value, area_under_roc(scores, mated)) == (0.5, 0.5)
