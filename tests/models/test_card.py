"""A card survives JSON and says plainly what is not known."""

import json

import pytest

from marginface.errors import InputError
from marginface.models import ModelCard, Provenance, Result, Threshold

FULL = ModelCard(
    name="demo",
    description="Learned on drawn people.",
    training_data="200 drawn people, 6,000 images",
    licence="Apache-2.0",
    intended_use="Trying out the commands.",
    results=(
        Result(
            data="drawn strangers",
            metric="FNMR at FMR 1e-2",
            value=0.0312,
            low=0.028,
            high=0.035,
            count=6000,
            convention="flip sum",
        ),
        Result(data="drawn | strangers", metric="EER", value=0.02),
    ),
    thresholds=(
        Threshold(
            score=0.3125,
            low=0.3,
            high=0.325,
            target_fmr=1e-2,
            achieved_fmr=0.0098,
            num_non_mated=20000,
            reject_below=0.21,
            reject_fnmr=0.01,
            data="drawn strangers",
        ),
        Threshold(score=0.5, target_fmr=1e-6, achieved_fmr=0.0, extrapolated=True, data="drawn strangers"),
    ),
    provenance=Provenance(
        recipe="epochs: 6\n", command="marginface demo", marginface_version="0.1.0", date="2026-11-22"
    ),
)


@pytest.mark.parametrize("card", [FULL, ModelCard()])
def test_card_survives_json(card):
    assert ModelCard.from_json(card.to_json()) == card


def test_markdown_shows_numbers_with_their_story():
    text = FULL.to_markdown()
    assert "| drawn strangers | FNMR at FMR 1e-2 | 0.0312 | 0.028 to 0.035 | 6,000 | flip sum |" in text
    assert "| drawn \\| strangers | EER | 0.02 | none | not stated |  |" in text
    told = "| 0.3125 | 0.3000 to 0.3250 | 0.01 | 0.0098 | 20,000 | 0.2100, FNMR 0.01 | drawn strangers | sum |"
    assert told in text
    assert "| 0.5000 (extrapolated) | none | 1e-06 | 0 | not stated | none | drawn strangers | sum |" in text
    assert "- command: `marginface demo`" in text
    assert "```yaml\nepochs: 6\n```" in text


def test_a_card_written_before_thresholds_had_intervals_still_loads():
    old = {"score": 0.3, "target_fmr": 0.01, "achieved_fmr": 0.009, "data": "drawn strangers", "flip": "none"}
    (threshold,) = ModelCard.from_json(json.dumps({"name": "old", "thresholds": [old]})).thresholds
    assert (threshold.score, threshold.flip) == (0.3, "none")
    assert (threshold.low, threshold.num_non_mated, threshold.extrapolated, threshold.reject_below) == (
        None,
        None,
        False,
        None,
    )


def test_an_empty_card_says_what_is_not_known():
    text = ModelCard().to_markdown()
    for sentence in ["Not evaluated.", "Not stated. Ask whoever trained the model", "None measured."]:
        assert sentence in text


@pytest.mark.parametrize(
    "text, message",
    [("{", "not valid JSON"), ('{"nmae": "x"}', r"card\.nmae: .*did you mean 'name'"), ("[]", "mapping")],
)
def test_what_is_not_a_card_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        ModelCard.from_json(text)


def test_new_thresholds_stand_in_front_and_replace_those_of_the_same_rate_data_and_flip():
    again = Threshold(score=0.33, target_fmr=1e-2, achieved_fmr=0.01, data="drawn strangers")
    elsewhere = Threshold(score=0.4, target_fmr=1e-2, achieved_fmr=0.01, data="a door")
    found = FULL.with_thresholds([again, elsewhere]).thresholds
    assert [(t.score, t.data) for t in found] == [(0.33, again.data), (0.4, "a door"), (0.5, "drawn strangers")]
