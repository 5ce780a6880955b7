"""Claims about the row of the results table."""

from __future__ import annotations

import doctest
import importlib
import json

import numpy as np
import pytest

from marginface.metrics import identity_bootstrap, k_fold_accuracy, summarise, support_sentence, wilson
from tests.helpers.scores import bells, people_pairs


def test_it_is_json_and_holds_every_count():
    scores, mated, left, right = people_pairs(np.random.default_rng(0))
    row = summarise(
        scores / 10, mated, identity_left=left, identity_right=right, folds=np.arange(760) % 10, num_replicates=50
    )
    plain = json.loads(json.dumps(row.to_dict(), allow_nan=False))
    assert (plain["num_pairs"], plain["num_mated"], plain["num_non_mated"], plain["num_identities"]) == (
        760,
        160,
        600,
        40,
    )
    assert plain["equal_error_rate"]["interval"]["low"] < plain["equal_error_rate"]["value"]
    assert [point["support"] for point in plain["fnmr_at_fmr"]] == ["thin", "refused", "refused"]
    assert plain["fnmr_at_fmr"][1]["value"] is None
    assert plain["num_replicates"] == 50


def test_intervals_hold_both_wilsons_and_the_bootstraps():
    scores, mated, left, right = people_pairs(np.random.default_rng(1))
    people = {"identity_left": left, "identity_right": right}
    folds = np.arange(760) % 10
    row = summarise(scores / 10, mated, **people, folds=folds, fmr_targets=(0.1,), num_replicates=100, seed=5)
    bootstrap = identity_bootstrap(scores / 10, mated, left, right, fmr_targets=(0.1,), num_replicates=100, seed=5)
    point, resampled = row.fnmr_at_fmr[0], bootstrap.fnmr_at_fmr[0.1]
    by_wilson = wilson(point.false_non_matches, point.num_mated)
    assert (point.interval.low, point.interval.high) == (
        min(by_wilson.low, resampled.low),
        max(by_wilson.high, resampled.high),
    )
    assert point.fmr_interval.low <= bootstrap.fmr_at_threshold[0.1].low
    accuracy = k_fold_accuracy(scores / 10, mated, folds)
    assert row.accuracy.mean == accuracy.mean
    assert row.accuracy.interval.low < accuracy.interval.low  # the thresholds of the folds are noisy too
    assert row.accuracy.interval.method == "wilson of an effective number"


def test_perfect_separation_still_has_an_interval():
    scores, mated = np.where(np.arange(400) % 2, 0.9, 0.1), np.arange(400) % 2 == 1
    people = np.arange(400)
    row = summarise(scores, mated, identity_left=people, identity_right=people + 1, num_replicates=50)
    assert row.equal_error_rate.value == 0.0
    assert row.equal_error_rate.interval.high > 0.005
    assert row.accuracy.mean == 1.0
    assert row.accuracy.interval.low < 0.995


def test_the_sentence_of_the_rule_of_thirty():
    scores, mated = bells(300, 300)
    row = summarise(scores / 10, mated, fmr_targets=(0.1, 0.01, 0.001))
    sentence = "300 non-mated pairs cannot support FMR 0.01: 3 expected errors, 30 are needed; take it as a hint."
    assert support_sentence(row.fnmr_at_fmr[0]) == ""
    assert sentence in row.caveats
    assert any("no number is given" in caveat for caveat in row.caveats)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({}, "independent"),
        ({"identity_left": [0, 1] * 10, "identity_right": [0, 2] * 10, "num_replicates": 5}, "Only 3 identities"),
        ({"folds": None}, "folds of one kind only"),
        ({}, "Only 10 mated pairs"),
    ],
)
def test_what_the_data_cannot_say_is_said(settings, message):
    row = summarise(np.arange(20) / 20, np.arange(20) >= 10, **settings)
    assert any(message in caveat for caveat in row.caveats), row.caveats


def test_accuracy_on_a_lopsided_set_is_called_so():
    scores, mated = bells(100, 900)
    row = summarise(scores / 10, mated)
    sentence = next(caveat for caveat in row.caveats if "always says" in caveat)
    assert sentence.startswith("90.0% of the pairs are non-mated: who always says 'different' has accuracy 0.9000")
    assert not any("always says" in caveat for caveat in summarise(*bells(500, 500)).caveats)


def test_six_pairs_give_no_ten_fold_accuracy():
    row = summarise([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [False, False, False, True, True, True])
    assert row.accuracy is None
    assert "6 pairs are too few for ten folds: no ten-fold accuracy is given." in row.caveats


@pytest.mark.parametrize("name", ["verification", "intervals", "kfold", "summary"])
def test_examples_in_docstrings_hold(name):
    module = importlib.import_module(f"marginface.metrics.{name}")
    results = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert results.attempted > 0
    assert results.failed == 0
