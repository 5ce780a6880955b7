"""Two photographs: an answer, with what is behind it, and never one that was made up."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from marginface.errors import InputError
from marginface.images.decode import BrokenImageError
from marginface.models import ModelCard, Threshold
from marginface.recognition.operating_point import about, threshold_at
from marginface.recognition.verify import verify
from tests.helpers.photographs import FramedFaces, colours, photograph, threshold

ADA, ADA_AGAIN, BOB = (
    photograph([(0, 10, 10, 112)]),
    photograph([(0, 60, 40, 90)], view=1),
    photograph([(1, 10, 10, 112)]),
)


def told(a, b, *thresholds: Threshold, **how):
    return verify(a, b, model=colours(*thresholds), detector=FramedFaces(), **how)


def test_one_person_is_the_same_and_two_are_different() -> None:
    same, different = told(ADA, ADA_AGAIN, threshold()), told(ADA, BOB, threshold())
    assert (same.decision, different.decision) == ("same", "different")
    assert same.score > 0.7 > 0.4 > different.score
    assert same.threshold == threshold()
    assert same.notes == ("threshold 0.500: FMR 0.001 (0.001 seen on painted people)",)
    assert same.row()["faces_found"] == [1, 1]


def test_between_the_two_ends_nothing_can_be_told() -> None:
    score = told(ADA, ADA_AGAIN, threshold()).score
    between = threshold(score + 0.01, reject_below=score - 0.01)
    assert told(ADA, ADA_AGAIN, between).decision == "cannot tell"
    assert told(ADA, BOB, between).decision == "different"


def test_without_a_threshold_there_is_a_score_and_no_answer() -> None:
    bare = told(ADA, ADA_AGAIN)
    assert bare.decision is None
    assert bare.score > 0.7
    assert "marginface calibrate" in bare.notes[0]


def test_no_face_is_an_answer_and_several_are_told() -> None:
    nobody = told(ADA, photograph([]), threshold())
    assert (nobody.decision, nobody.score, nobody.num_found) == ("cannot tell", None, (1, 0))
    assert nobody.notes == ("there is no face in the second photograph",)
    assert nobody.row()["boxes"][1] is None
    crowd = photograph([(1, 0, 0, 112), (0, 130, 90, 64)])
    assert told(crowd, BOB, threshold()).decision == "same"
    assert told(crowd, BOB, threshold(), which="central").decision == "different"
    assert (
        told(crowd, BOB, threshold()).notes[0]
        == "there are 2 faces in the first photograph; the largest one was compared"
    )


def test_a_small_face_cannot_be_told_whatever_the_score() -> None:
    far = photograph([(0, 10, 10, 20)])
    small = told(ADA, far, threshold())
    assert (small.decision, small.num_found) == ("cannot tell", (1, 1))
    assert small.score > 0.5
    assert "6 pixels between the eyes, fewer than 7" in small.notes[0]
    assert told(ADA, far, threshold(), min_eye_distance=5).decision == "same"


def test_a_photograph_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "b.jpg").write_text("<svg></svg>")
    with pytest.raises(BrokenImageError, match=r"b\.jpg: this file is an SVG"):
        told(ADA, tmp_path / "b.jpg", threshold())


def test_the_threshold_is_for_the_rate_asked_for_or_the_next_stricter_one() -> None:
    card = ModelCard(
        name="a", thresholds=(threshold(0.3, fmr=1e-2), threshold(0.5, fmr=1e-3), threshold(0.6, fmr=1e-5))
    )
    assert threshold_at(card, 1e-3).score == 0.5
    assert threshold_at(card, 5e-3).score == 0.5
    assert threshold_at(card, 1e-4).score == 0.6
    assert threshold_at(card, 0.5).score == 0.3
    assert threshold_at(ModelCard(name="a"), 1e-3) is None
    with pytest.raises(InputError, match=r"none for 1e-06 or less; calibrate on more"):
        threshold_at(card, 1e-6)
    with pytest.raises(InputError, match="between 0 and 1"):
        threshold_at(card, 0)


def test_a_threshold_tells_what_is_behind_it() -> None:
    measured = Threshold(
        score=0.4, target_fmr=1e-4, achieved_fmr=9e-5, data="faces", low=0.38, high=0.43, num_non_mated=20_000
    )
    assert about(measured) == (
        "threshold 0.400 [0.380, 0.430]: FMR 0.0001 (9e-05 seen on faces, 20,000 non-mated comparisons)"
    )
    said = dataclasses.replace(measured, data="faces, 20,000 non-mated comparisons of 40 people")
    assert about(said).endswith("(9e-05 seen on faces, 20,000 non-mated comparisons of 40 people)")
    read = Threshold(score=0.4, target_fmr=1e-6, achieved_fmr=0.0, data="faces", extrapolated=True)
    assert about(read) == "threshold 0.400: FMR 1e-06 (extrapolated on faces)"


def test_the_score_is_made_with_the_thresholds_flip_policy() -> None:
    summed = dataclasses.replace(threshold(), flip="sum")
    assert told(ADA, BOB, summed).score != told(ADA, BOB, threshold()).score
    with pytest.raises(InputError, match="flip policy 'mean'"):
        told(ADA, BOB, dataclasses.replace(threshold(), flip="mean"))
