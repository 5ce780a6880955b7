"""SCRFD's outputs are decoded as insightface writes them: a network whose outputs are known is the oracle."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.images.open_detector import detector_from
from marginface.images.scrfd import Scrfd, anchor_centres

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
SIDE, STRIDES = 64, (8, 16, 32)
Face = tuple[int, int, int, float, tuple[float, float, float, float], list[float]]
"""stride's number, cell column and row, score, box (left, top, right, bottom) and landmarks, in pixels."""


def write_network(path: Path, faces: list[Face], *, batched: bool = False, dynamic: bool = False) -> Path:
    """Write a network that finds these faces in any image of SIDE x SIDE."""
    values: list[np.ndarray] = []
    for width in (1, 4, 10):
        values += [np.zeros((2 * (SIDE // stride) ** 2, width), np.float32) for stride in STRIDES]
    for i, column, row, score, box, landmarks in faces:
        n, stride = 2 * (row * (SIDE // STRIDES[i]) + column), STRIDES[i]
        x, y = column * stride, row * stride
        values[i][n] = score
        values[i + 3][n] = np.array([x - box[0], y - box[1], box[2] - x, box[3] - y]) / stride
        values[i + 6][n] = (np.array(landmarks).reshape(5, 2) - [x, y]).ravel() / stride
    helper, nodes, outputs = onnx.helper, [], []
    for i, array in enumerate(values):
        shaped = array[None] if batched else array
        tensor = onnx.numpy_helper.from_array(shaped, f"value{i}")
        nodes.append(helper.make_node("Constant", [], [f"output{i}"], value=tensor))
        outputs.append(helper.make_tensor_value_info(f"output{i}", onnx.TensorProto.FLOAT, shaped.shape))
    shape = [1, 3, "height", "width"] if dynamic else [1, 3, SIDE, SIDE]
    image = helper.make_tensor_value_info("input.1", onnx.TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "scrfd", [image], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, path)
    return path


LANDMARKS = [20.0, 22.0, 36.0, 22.0, 28.0, 30.0, 22.0, 38.0, 34.0, 38.0]
FACES: list[Face] = [
    (0, 3, 3, 0.9, (14.0, 12.0, 42.0, 46.0), LANDMARKS),
    (1, 2, 1, 0.8, (15.0, 13.0, 42.0, 46.0), LANDMARKS),  # the same face again
    (2, 1, 1, 0.7, (44.0, 40.0, 62.0, 62.0), [v + 30 for v in LANDMARKS]),
    (0, 0, 0, 0.3, (0.0, 0.0, 9.0, 9.0), LANDMARKS),  # not confident
]


@pytest.mark.parametrize("how", [{}, {"batched": True}, {"dynamic": True}])
def test_known_outputs_become_the_faces_they_mean(tmp_path: Path, how: dict[str, bool]) -> None:
    detector = Scrfd(write_network(tmp_path / "a.onnx", FACES, **how))
    for one in (detector, pickle.loads(pickle.dumps(detector)), detector_from(tmp_path / "a.onnx")):
        first, second = one.detect(np.zeros((SIDE, SIDE, 3), np.uint8))
        np.testing.assert_allclose(first.box, [14, 12, 28, 34], atol=1e-4)
        np.testing.assert_allclose(first.landmarks.ravel(), LANDMARKS, atol=1e-4)
        assert first.confidence == pytest.approx(0.9)
        np.testing.assert_allclose(second.box, [44, 40, 18, 22], atol=1e-4)


def test_a_larger_image_is_shrunk_and_its_faces_are_in_its_own_pixels(tmp_path: Path) -> None:
    detector = Scrfd(write_network(tmp_path / "a.onnx", FACES[:1]))
    (face,) = detector.detect(np.zeros((2 * SIDE, SIDE, 3), np.uint8))
    np.testing.assert_allclose(face.box, [28.5, 24.5, 56, 68], atol=1e-3)


def test_anchors_go_row_by_row_and_twice() -> None:
    assert anchor_centres((32, 16), 8, 2)[:6].tolist() == [[0, 0], [0, 0], [8, 0], [8, 0], [16, 0], [16, 0]]
    assert len(anchor_centres((32, 16), 8, 2)) == 16


def test_another_network_is_refused_in_words(tmp_path: Path) -> None:
    path = write_network(tmp_path / "a.onnx", [])
    model = onnx.load(path)
    del model.graph.output[6:]
    onnx.save(model, path)
    with pytest.raises(InputError, match="has 9 or 15 outputs, this file has 6"):
        Scrfd(path)
    (tmp_path / "b.onnx").write_text("no network")
    with pytest.raises(InputError, match="onnxruntime cannot load this file"):
        Scrfd(tmp_path / "b.onnx")
