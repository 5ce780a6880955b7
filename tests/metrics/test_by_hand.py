"""Scores in, numbers out, for every kind of report: ties, scores that are all equal, a kind that is absent, one person.

The numbers of `golden/by_hand.json` were counted with pencil and paper.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.metrics import (
    SearchScores,
    area_under_roc,
    differential_summary,
    equal_error_rate,
    fnmr_at_fmr,
    identification_summary,
    k_fold_accuracy,
    summarise,
)
from marginface.metrics.discard import error_versus_discard

GOLDEN = json.loads((Path(__file__).parent / "golden" / "by_hand.json").read_text(encoding="utf-8"))


def scores_of(*sides):
    """Return the scores of mated and non-mated sides one after the other, and which are mated."""
    mated, non_mated = (np.array(side, np.float64) for side in sides)
    return np.append(mated, non_mated), np.arange(len(mated) + len(non_mated)) < len(mated)


@pytest.mark.parametrize("name", GOLDEN["verification"])
def test_verification(name):
    case = GOLDEN["verification"][name]
    scores, mated = scores_of(case["mated"], case["non_mated"])
    point = fnmr_at_fmr(scores, mated, fmr=case["fmr"])
    assert [point.threshold, point.achieved_fmr, point.value] == [
        case["threshold"],
        case["achieved_fmr"],
        case["value"],
    ]
    assert area_under_roc(scores, mated) == pytest.approx(case["area"])
    assert equal_error_rate(scores, mated).value == pytest.approx(case["equal_error_rate"])


@pytest.mark.parametrize("name", GOLDEN["identification"])
def test_identification(name):
    case = GOLDEN["identification"][name]
    (one,) = identification_summary([searches_of(case)], fpir_targets=(case["fpir"],), num_replicates=20).galleries
    (point,) = one.points
    assert one.ranks[0].rate.value == case["rank_1"]
    assert (point.fnir.value, point.achieved_fpir.value) == (case["fnir"], case["achieved_fpir"])
    assert point.thresholds[0] == pytest.approx(case["threshold"])
    assert point.fnir.value in point.fnir.interval


def searches_of(case, person=None):
    num_mated, strangers = len(case["rank"]), case["strangers"]
    num = num_mated + len(strangers)
    return SearchScores(
        name="g",
        person=np.arange(num) if person is None else person,
        rank=np.array(case["rank"] + [0] * len(strangers)),
        mate_score=np.array(case["mate"] + [0.0] * len(strangers), np.float32),
        non_mate_score=np.array(case["of_others"] + strangers, np.float32),
        average_precision=None,
        num_entries=9,
    )


@pytest.mark.parametrize("name", GOLDEN["discard"])
def test_discard(name):
    case = GOLDEN["discard"][name]
    scores, mated = scores_of(case["mated"], case["non_mated"])
    quality = np.append(case["quality"], np.zeros(len(case["non_mated"])))
    curve = error_versus_discard(scores, mated, quality, fmr=case["fmr"], area_limit=0.3)
    assert (curve.threshold == case["threshold"]).all()
    assert curve.random == pytest.approx(case["fnmr_of_all"])
    for percent in (10, 20, 30):
        assert curve.fnmr[percent] == pytest.approx(case[f"fnmr_at_{percent}_percent"], abs=1e-12)
    assert 0 <= curve.area <= 1
    assert (curve.gain is None) == (case["gain"] is None)


@pytest.mark.parametrize("name", GOLDEN["differential"])
def test_differential(name):
    case = GOLDEN["differential"][name]
    parts = [case[f"{kind}_of_{group}"] for kind in ("mated", "non_mated") for group in "ab"]
    scores, mated = scores_of(parts[0] + parts[1], parts[2] + parts[3])
    group = np.repeat([0, 1, 0, 1], [len(part) for part in parts])
    found = differential_summary(scores, mated, group, group, groups=("a", "b"), fmr=case["fmr"])
    assert found.threshold == case["threshold"]
    for rates, expected in ((found.fnmr, case["fnmr"]), (found.fmr, case["group_fmr"])):
        assert {one.group: [one.rate.successes, one.rate.trials] for one in rates} == expected


def test_one_person_gives_numbers_but_hardly_an_interval_and_says_so():
    case = GOLDEN["identification"]["ties"] | {"strangers": []}
    summary = identification_summary([searches_of(case, np.zeros(4, np.int64))], num_replicates=20)
    assert summary.galleries[0].ranks[0].rate.value == 0.75
    assert any("Only 1 person" in sentence for sentence in summary.caveats)
    scores, mated = scores_of([0.9, 0.8], [0.1] * 10)
    nobody = np.zeros(12, np.int64)
    found = differential_summary(
        scores, mated, nobody, nobody, groups=("all",), threshold=0.5, identity_left=nobody, identity_right=nobody
    )
    assert (found.fnmr[0].rate.value, found.fmr[0].rate.value) == (0, 0)
    assert found.fnmr[0].rate.interval.high > 0.5  # no error seen is not no error
    with pytest.raises(InputError, match="All pairs are of one identity"):
        error_versus_discard(scores, mated, scores, fmr=0.3, identity_left=nobody, identity_right=nobody)
    assert summarise(scores, mated, identity_left=nobody, identity_right=nobody, fmr_targets=(0.3,)).num_identities == 1


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_every_report_refuses_a_score_that_is_no_number(broken):
    scores, mated = scores_of([0.9, broken], [0.1] * 10)
    group = np.zeros(12, np.int64)
    for judge in (
        lambda: summarise(scores, mated),
        lambda: k_fold_accuracy(scores, mated, num_folds=2),
        lambda: error_versus_discard(scores, mated, np.ones(12), fmr=0.3),
        lambda: differential_summary(scores, mated, group, group, groups=("all",), threshold=0.5),
        lambda: searches_of(GOLDEN["identification"]["ties"] | {"mate": [0.9, broken, 0.5, 0.4]}),
    ):
        with pytest.raises(InputError, match="NaN or infinite"):
            judge()


def test_every_report_refuses_comparisons_of_one_kind():
    scores, group = np.linspace(0, 1, 10), np.zeros(10, np.int64)
    for mated, missing in ((np.zeros(10, np.bool_), "mated"), (np.ones(10, np.bool_), "non-mated")):
        for judge in (
            lambda mated=mated: summarise(scores, mated),
            lambda mated=mated: k_fold_accuracy(scores, mated, num_folds=2),
            lambda mated=mated: error_versus_discard(scores, mated, scores, fmr=0.3),
            lambda mated=mated: differential_summary(scores, mated, group, group, groups=("all",), threshold=0.5),
        ):
            with pytest.raises(InputError, match=f"None of the 10 comparisons is {missing}"):
                judge()
