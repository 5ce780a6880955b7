"""Which of several faces is meant, and two looks at one photograph."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marginface.images.detect import DetectedFace, choose, in_resized, largest_first, look_twice, overlap


def face(x: float, y: float, width: float, height: float, confidence: float = 0.9) -> DetectedFace:
    places = [[0.25, 0.4], [0.75, 0.4], [0.5, 0.6], [0.3, 0.8], [0.7, 0.8]]
    box = np.array([x, y, width, height], dtype=np.float64)
    return DetectedFace(box=box, landmarks=box[:2] + np.array(places) * box[2:], confidence=confidence)


def test_the_largest_face_over_the_middle_is_central_and_else_the_nearest() -> None:
    beside, small_over, large_over = face(0, 0, 90, 90), face(80, 80, 90, 90), face(60, 60, 130, 130)
    assert choose([beside, small_over, large_over], "central", width=250, height=250) == [large_over]
    far, near = face(0, 0, 99, 99), face(90, 90, 20, 20)
    assert choose([far, near], "central", width=250, height=250) == [near]
    assert choose([near, far], "largest", width=250, height=250) == [far]
    assert choose([near, far], "all", width=250, height=250) == [far, near]
    assert choose([], "central", width=250, height=250) == []


boxes = st.builds(face, *[st.floats(0, 500)] * 2, *[st.floats(1, 300)] * 2)


@given(st.lists(boxes, max_size=6))
def test_the_order_is_by_area_whatever_the_detector_said(faces: list[DetectedFace]) -> None:
    areas = [f.area for f in largest_first(faces)]
    assert areas == sorted(areas, reverse=True)
    assert [f.area for f in largest_first(reversed(faces))] == areas


@given(boxes, boxes)
def test_overlap_is_symmetric_one_with_itself_and_a_share(a: DetectedFace, b: DetectedFace) -> None:
    assert overlap(a, a) == pytest.approx(1)
    assert overlap(a, b) == overlap(b, a)
    assert 0 <= overlap(a, b) <= 1 + 1e-9


def test_points_follow_a_resize_by_pixel_centres() -> None:
    before, after = np.zeros((100, 200, 3), np.uint8), np.zeros((50, 100, 3), np.uint8)
    np.testing.assert_allclose(in_resized([[0.5, 0.5], [199.5, 99.5]], before, after), [[0, 0], [99.5, 49.5]])


def looks(image: np.ndarray, found: dict[int, list[DetectedFace]]) -> tuple[list[DetectedFace], list[int]]:
    """Return what `look_twice` makes of a detector that finds `found[longest side]`, and the sides it was shown."""
    seen: list[int] = []

    def detect(shown: np.ndarray) -> list[DetectedFace]:
        seen.append(max(shown.shape))
        return found.get(max(shown.shape[:2]), [])

    return look_twice(image, (640, 1280), detect), seen


def test_one_look_where_a_second_would_see_the_same_pixels() -> None:
    assert looks(np.zeros((300, 200, 3), np.uint8), {})[1] == [300]
    assert looks(np.zeros((640, 200, 3), np.uint8), {})[1] == [640]
    assert looks(np.zeros((641, 200, 3), np.uint8), {})[1] == [640, 641]
    assert looks(np.zeros((100, 5000, 3), np.uint8), {})[1] == [640, 1280]


def test_the_finer_look_adds_only_faces_that_were_too_small_before() -> None:
    image = np.zeros((1920, 2560, 3), np.uint8)
    first = [face(100, 100, 50, 60)]  # at 640: 200 x 240 in the photograph
    same, large, small = face(200, 200, 100, 120), face(600, 500, 90, 100), face(20, 600, 50, 60)
    found, seen = looks(image, {640: first, 1280: [same, large, small]})
    assert seen == [640, 1280]
    assert [f.box.round(1).tolist() for f in found] == [[401.5, 401.5, 200, 240], [40.5, 1200.5, 100, 120]]


def test_what_is_found_is_in_the_photographs_own_pixels() -> None:
    found, _ = looks(np.zeros((1280, 1280, 3), np.uint8), {640: [face(200, 200, 240, 240)]})
    np.testing.assert_allclose(found[0].box, [400.5, 400.5, 480, 480])
    np.testing.assert_allclose(found[0].landmarks[0], [(260 + 0.5) * 2 - 0.5, (296 + 0.5) * 2 - 0.5])
    assert found[0].eye_distance == pytest.approx(240)
