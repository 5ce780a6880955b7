"""Claims about rank correlation with known truth."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import spearmanr

from marginface.drawn import DrawnPeople
from marginface.errors import InputError
from marginface.evaluation.quality_truth import STRENGTHS, nuisance_correlations, ranks

PEOPLE = DrawnPeople(30, 5, seed=2, size=16)
TRUTH = [dataclasses.asdict(PEOPLE.nuisance(person, image)) for person in range(30) for image in range(5)]
METAS = [{"nuisance": one} for one in TRUTH]
LABELS = np.repeat(np.arange(30), 5)


def test_it_is_spearmans_with_ties():
    values = np.random.default_rng(0).integers(8, size=150).astype(float)
    found = nuisance_correlations({"x": values}, METAS, LABELS, num_replicates=20)["x"]
    for name in ("yaw", "blur", "glasses", "occluder"):
        strength = [STRENGTHS[name](one) for one in TRUTH]
        assert found[name].value == pytest.approx(spearmanr(values, strength).statistic)
        assert found[name].low <= found[name].value <= found[name].high


def test_a_score_that_knows_the_truth_is_found_out():
    blur = np.array([one["blur_sigma"] for one in TRUTH])
    values = np.where(np.arange(150) < 5, np.nan, -blur)
    found = nuisance_correlations({"x": values, "flat": np.ones(150)}, METAS, LABELS)
    assert set(found) == {"x"}
    assert found["x"]["blur"].value == pytest.approx(-1)
    assert abs(found["x"]["yaw"].value) < 0.35


def test_every_strength_is_nothing_in_a_clean_photograph_and_grows_with_difficulty():
    clean = dataclasses.asdict(DrawnPeople(1, 1, seed=0, difficulty=0).nuisance(0, 0))
    assert {
        name: of(clean) for name, of in STRENGTHS.items() if name not in ("side_light", "glasses")
    } == pytest.approx(dict.fromkeys(set(STRENGTHS) - {"side_light", "glasses"}, 0), abs=0.2)
    assert ranks(np.array([3.0, 1.0, 3.0])).tolist() == [1.5, 0.0, 1.5]


def test_photographs_have_no_known_truth():
    with pytest.raises(InputError, match="drawn people only"):
        nuisance_correlations({"x": np.ones(1)}, [{}], np.zeros(1, int))
