"""Scores in, numbers out: a file small enough to be counted by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from marginface.metrics import area_under_roc, best_accuracy, equal_error_rate, fnmr_at_fmr
from marginface.protocols.score_files import read_scores

GOLDEN = Path(__file__).parents[1] / "golden"


def test_numbers_of_the_file_are_those_counted_by_hand():
    found = read_scores(GOLDEN / "scores.csv")
    expected = json.loads((GOLDEN / "scores.json").read_text())
    pair = (found.score, found.mated)
    assert [int(found.mated.sum()), int((~found.mated).sum())] == expected["counts"]
    for target, numbers in expected["fnmr_at_fmr"].items():
        point = fnmr_at_fmr(*pair, fmr=float(target))
        assert {name: getattr(point, name) for name in numbers} == numbers
    eer = equal_error_rate(*pair)
    assert eer.value == pytest.approx(expected["equal_error_rate"])
    assert eer.threshold == pytest.approx(expected["equal_error_threshold"])
    assert area_under_roc(*pair) == pytest.approx(expected["area_under_roc"])
    best = best_accuracy(*pair)
    assert [best.num_correct, best.threshold] == pytest.approx(expected["best_accuracy"])
