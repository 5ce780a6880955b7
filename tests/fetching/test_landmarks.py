"""Where faces are, without and with a detector."""

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.fetching.landmarks import (
    HAND_PLACED_EYES_112,
    LFW_LANDMARKS,
    central_landmarks,
    find_same_eyes,
    landmarks_from_eyes,
    read_tem,
)
from marginface.images.align import similarity_transform
from marginface.images.detect import DetectedFace
from tests.fetching.drawings import STUDIO_EYES, face
from tests.helpers.faces import OneFace


def test_aligning_by_two_eyes_puts_them_where_hand_placed_eyes_belong():
    eyes = np.array([[610.0, 640.0], [790.0, 600.0]])
    matrix = similarity_transform(landmarks_from_eyes(eyes), 112)
    np.testing.assert_allclose(eyes @ matrix[:, :2].T + matrix[:, 2], HAND_PLACED_EYES_112, atol=1e-4)


def test_the_crop_of_lfw_is_upright_and_shrinks_to_0_87():
    matrix = similarity_transform(LFW_LANDMARKS, 112)
    assert np.hypot(matrix[0, 0], matrix[1, 0]) == pytest.approx(0.867, abs=1e-3)
    assert np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])) == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize("moved", [(0, 0), (12, -20), (-25, 15)])
def test_eyes_of_one_person_are_found_in_another_photograph(moved):
    there = np.array(STUDIO_EYES) + moved
    found, likeness = find_same_eyes(face(420, STUDIO_EYES), STUDIO_EYES, face(420, there.tolist(), smiling=True))
    np.testing.assert_allclose(found, there, atol=2.0)
    assert likeness > 0.9


def test_eyes_are_found_when_the_head_is_nearer_and_tilted():
    middle, turn = np.mean(STUDIO_EYES, axis=0), np.radians(6)
    turned = 1.06 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    there = (np.array(STUDIO_EYES) - middle) @ turned.T + middle + [5, 8]
    found, _ = find_same_eyes(face(420, STUDIO_EYES), STUDIO_EYES, face(420, there.tolist()))
    np.testing.assert_allclose(found, there, atol=2.0)


def test_a_picture_without_the_person_is_told_by_its_likeness():
    noise = np.random.default_rng(0).integers(0, 256, (420, 420, 3), dtype=np.uint8)
    assert find_same_eyes(face(420, STUDIO_EYES), STUDIO_EYES, noise)[1] < 0.8


def test_a_template_is_read_up_to_its_count():
    assert read_tem(b"2\r\n10.5\t20\r\n30\t40.25\r\n1\r\n0\r\n", name="001_03.tem").tolist() == [
        [10.5, 20],
        [30, 40.25],
    ]


@pytest.mark.parametrize(
    "content", [b"", b"no number\n", b"3\n1 2\n3 4\n", b"2\n1 2 3\n4 5 6\n", b"2\n1 nan\n3 4\n", b"\xff"]
)
def test_what_is_not_a_template_is_refused_by_name(content):
    with pytest.raises(InputError, match=r"001_03\.tem"):
        read_tem(content, name="001_03.tem")


def test_the_central_face_is_the_one_that_a_set_means():
    points = np.arange(10.0).reshape(5, 2)
    here, beside = (
        DetectedFace(box=np.array(box, float), landmarks=points + box[0], confidence=0.9)
        for box in ([80, 80, 90, 90], [0, 0, 99, 99])
    )
    image = np.zeros((250, 250, 3), np.uint8)
    np.testing.assert_array_equal(central_landmarks(OneFace(beside, here), image), points + 80)
    assert central_landmarks(OneFace(), image) is None
