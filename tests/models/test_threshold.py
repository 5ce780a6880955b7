"""A score is judged same, different, or honestly neither."""

import pytest

from marginface.models import Threshold, decide


def threshold(**settings):
    return Threshold(**{"score": 0.4, "target_fmr": 1e-3, "achieved_fmr": 9e-4, "data": "drawn strangers"} | settings)


@pytest.mark.parametrize(
    "score, said", [(0.9, "same"), (0.4, "same"), (0.39, "cannot tell"), (0.2, "cannot tell"), (0.19, "different")]
)
def test_between_the_two_ends_nothing_can_be_told(score, said):
    assert decide(score, threshold(reject_below=0.2, reject_fnmr=0.01)) == said


def test_without_a_lower_end_everything_under_the_threshold_is_different():
    assert [decide(score, threshold()) for score in (0.4, 0.399, -1.0)] == ["same", "different", "different"]


def test_a_broken_score_is_no_decision():
    with pytest.raises(ValueError, match="not a number"):
        decide(float("nan"), threshold())


@pytest.mark.parametrize(
    "settings, message",
    [({"reject_below": 0.5, "reject_fnmr": 0.01}, "above the score"), ({"reject_below": 0.1}, "belong together")],
)
def test_a_threshold_whose_ends_contradict_each_other_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        threshold(**settings)
