"""Where faces are, without and with a detector."""

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.fetching.landmarks import (
    HAND_PLACED_EYES_112,
    LFW_LANDMARKS,
    YuNet,
    find_same_eyes,
    in_resized,
    landmarks_from_eyes,
    read_tem,
)
from marginface.images.align import similarity_transform
from tests.fetching.drawings import STUDIO_EYES, face


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


def test_points_follow_a_resize_by_pixel_centres():
    before, after = np.zeros((100, 200, 3), np.uint8), np.zeros((50, 100, 3), np.uint8)
    np.testing.assert_allclose(in_resized([[0.5, 0.5], [199.5, 99.5]], before, after), [[0, 0], [99.5, 49.5]])


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


class Faces:
    """Stands in for cv2.FaceDetectorYN: faces as (x, y, width, height), the left eye a quarter into the box."""

    def __init__(self, *boxes: tuple[int, int, int, int]) -> None:
        points = [[x + w * dx for dx in (0.25, 0.75, 0.5, 0.3, 0.7)] for x, _, w, _ in boxes]
        self.rows = np.array(
            [[*box, *np.stack([xs, [box[1]] * 5], axis=1).ravel(), 0.9] for box, xs in zip(boxes, points, strict=True)]
        )

    def setInputSize(self, size: tuple[int, int]) -> None:  # noqa: N802
        self.size = size

    def detect(self, image: np.ndarray) -> tuple[int, np.ndarray | None]:
        assert image.shape[1::-1] == self.size
        return 1, self.rows if len(self.rows) else None


def found_by(faces: Faces, side: int) -> np.ndarray | None:
    detector = YuNet.__new__(YuNet)
    detector._detector = faces
    return detector.landmarks(np.zeros((side, side, 3), np.uint8))


def test_the_largest_face_over_the_middle_is_taken_and_else_the_nearest():
    large_beside, small_over, large_over = (0, 0, 90, 90), (80, 80, 90, 90), (60, 60, 130, 130)
    assert found_by(Faces(large_beside, small_over, large_over), 250)[0] == pytest.approx([92.5, 60])
    assert found_by(Faces((0, 0, 99, 99), (90, 90, 20, 20)), 250)[0] == pytest.approx([95, 90])
    assert found_by(Faces(), 250) is None


def test_landmarks_in_a_large_photograph_are_in_its_own_pixels():
    found = found_by(Faces((200, 200, 240, 240)), 1280)  # looked at with 640 pixels a side
    assert found[0] == pytest.approx([(260 + 0.5) * 2 - 0.5, (200 + 0.5) * 2 - 0.5])


def test_a_detector_that_is_not_one_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match="there is no such detector file"):
        YuNet(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(InputError, match=r"text\.onnx: OpenCV .* cannot use this file"):
        YuNet(tmp_path / "text.onnx")
