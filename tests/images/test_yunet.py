"""YuNet through OpenCV."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from marginface.errors import InputError
from marginface.images.decode import decode_image
from marginface.images.detect import Detector, overlap
from marginface.images.yunet import YuNet


def test_a_detector_that_is_not_one_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such detector file"):
        YuNet(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(InputError, match=r"text\.onnx: OpenCV .* cannot use this file"):
        YuNet(tmp_path / "text.onnx")


@pytest.fixture
def yunet(real_data: Path) -> YuNet:
    return YuNet(real_data / "weights" / "yunet" / "face_detection_yunet_2023mar.onnx")


@pytest.fixture
def group(real_data: Path) -> np.ndarray:
    return decode_image((real_data / "photos" / "group_six_people.jpg").read_bytes(), name="group")


@pytest.mark.real_data
def test_six_people_are_found_in_every_size_of_their_photograph(yunet: YuNet, group: np.ndarray) -> None:
    assert isinstance(yunet, Detector)
    reference = yunet.detect(group)
    assert len(reference) == 6
    for factor in (0.3, 0.5, 2.0):
        other = cv2.resize(group, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        found = yunet.detect(other)
        assert len(found) == 6
        for face in reference:
            moved = min(np.linalg.norm(f.landmarks / factor - face.landmarks, axis=1).mean() for f in found)
            assert moved < 0.3 * face.eye_distance


@pytest.mark.real_data
def test_small_faces_of_a_large_photograph_are_found_by_the_second_look(yunet: YuNet, group: np.ndarray) -> None:
    small = cv2.resize(group, (150, 104), interpolation=cv2.INTER_AREA)
    wide = np.full((960, 1280, 3), 90, np.uint8)
    wide[400:504, 500:650] = small
    one_look = YuNet(yunet.path, sides=(640,))
    assert len(yunet.detect(wide)) > len(one_look.detect(wide))


@pytest.mark.real_data
def test_threads_and_pickles_find_the_same(yunet: YuNet, group: np.ndarray) -> None:
    tall, copy = cv2.resize(group, (400, 800)), pickle.loads(pickle.dumps(yunet))
    alone = [yunet.detect(image) for image in (group, tall)]
    assert not any(overlap(a, b) > 0.5 for faces in alone for a in faces for b in faces if a is not b)
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(copy.detect, [group, tall] * 4))
    for expected, got in zip(alone * 4, together, strict=True):
        assert [f.box.tolist() for f in got] == [f.box.tolist() for f in expected]
