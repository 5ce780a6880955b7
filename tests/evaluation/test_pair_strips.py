"""The strips show the worst comparisons, of many people, with nothing but pixels of their images."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np

from marginface.evaluation.pair_strips import hardest, thumbnails
from marginface.images.decode import decode_image
from marginface.records.open import open_records
from tests.helpers.synthetic import write_faces


def strip(scores: list[float], mated: list[int], left: list[int], right: list[int], count: int) -> dict[str, list[int]]:
    return hardest(
        np.array(scores), np.array(mated, bool), left_person=np.array(left), right_person=np.array(right), count=count
    )


def test_lowest_mated_and_highest_non_mated_come_first() -> None:
    found = strip([0.9, 0.2, 0.5, 0.1, 0.8, 0.3], [1, 1, 1, 0, 0, 0], [0, 1, 2, 0, 1, 2], [0, 1, 2, 3, 4, 5], 2)
    assert found == {"mated": [1, 2], "non_mated": [4, 5]}


def test_a_person_stands_in_two_pairs_and_two_people_meet_once() -> None:
    mated = strip([0.1, 0.2, 0.3, 0.4], [1, 1, 1, 1], [7, 7, 7, 8], [7, 7, 7, 8], 4)
    assert mated["mated"] == [0, 1, 3]
    non_mated = strip([0.9, 0.8, 0.7, 0.6, 0.5], [0] * 5, [0, 1, 0, 0, 3], [1, 0, 2, 3, 4], 5)
    assert non_mated["non_mated"] == [0, 2, 4]


def test_few_comparisons_give_a_short_strip() -> None:
    assert strip([0.5], [1], [0], [0], 12) == {"mated": [0], "non_mated": []}


def test_thumbnails_show_the_image_of_the_key_and_leave_out_what_cannot_be_shown(tmp_path: Path) -> None:
    write_faces(tmp_path, num_identities=2, images_per_identity=2, size=160)
    (tmp_path / "person_00" / "broken.jpg").write_text("no image")
    source = open_records(tmp_path)
    found = thumbnails(["person_01/0001.jpg", "person_00/broken.jpg", "nobody.jpg"], [source], side=64)
    assert list(found) == ["person_01/0001.jpg"]
    shown = decode_image(base64.b64decode(found["person_01/0001.jpg"].partition(",")[2]), name="shown")
    assert shown.shape == (64, 64, 3)
    original = decode_image((tmp_path / "person_01" / "0001.jpg").read_bytes(), name="original")
    expected = cv2.resize(original, (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(shown.astype(int) - expected).mean() < 4  # JPEG; red and blue exchanged would differ by far more
