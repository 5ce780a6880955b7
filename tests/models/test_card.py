"""A card survives JSON and says plainly what is not known."""

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
    thresholds=(Threshold(score=0.3125, target_fmr=1e-2, achieved_fmr=0.0098, data="drawn strangers, 20,000 pairs"),),
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
    assert "| 0.3125 | 0.01 | 0.0098 | drawn strangers, 20,000 pairs | sum |" in text
    assert "- command: `marginface demo`" in text
    assert "```yaml\nepochs: 6\n```" in text


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
