"""MTCNN: its networks, the pyramid, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from marginface.errors import InputError
from marginface.images import mtcnn
from marginface.images.mtcnn import FILES, Mtcnn
from marginface.images.open_detector import detector_from


def write_networks(folder: Path, *, score: float) -> Path:
    """Write networks whose weights are 0, so that each answers what its biases say, whatever it sees."""
    folder.mkdir(exist_ok=True)
    made = (mtcnn._proposals(), mtcnn._refinement(), mtcnn._output())
    for name, network in zip(FILES, made, strict=True):
        state = {key: torch.zeros_like(value) for key, value in network.state_dict().items()}
        state[f"{network.head_names['score']}.bias"][1] = score
        if "points" in network.head_names:
            state[f"{network.head_names['points']}.bias"][:] = torch.tensor(
                [0.3, 0.7, 0.5, 0.35, 0.65, 0.4, 0.4, 0.6, 0.8, 0.8]
            )
        torch.save(state, folder / name)
    return folder


def test_the_weights_have_the_published_names_and_sizes() -> None:
    shapes = {
        name: {key: tuple(value.shape) for key, value in network.state_dict().items()}
        for name, network in (("p", mtcnn._proposals()), ("r", mtcnn._refinement()), ("o", mtcnn._output()))
    }
    assert {name: sum(int(np.prod(s)) for s in of.values()) for name, of in shapes.items()} == {
        "p": 6_632,
        "r": 100_178,
        "o": 389_040,
    }
    assert shapes["p"]["conv4_1.weight"] == (2, 32, 1, 1)
    assert shapes["r"]["dense5_2.bias"] == (4,)
    assert shapes["o"]["dense6_3.weight"] == (10, 256)
    assert "prelu5.weight" in shapes["o"]


def test_landmarks_are_shares_of_the_box_and_the_largest_face_comes_first(tmp_path: Path) -> None:
    detector = detector_from(write_networks(tmp_path / "networks", score=9.0))
    assert isinstance(detector, Mtcnn)
    faces = pickle.loads(pickle.dumps(detector)).detect(np.zeros((40, 60, 3), np.uint8))
    assert faces
    assert [f.area for f in faces] == sorted((f.area for f in faces), reverse=True)
    for face in faces:
        shares = (face.landmarks - face.box[:2] + 1) / (face.box[2:] + 1)
        np.testing.assert_allclose(shares, [[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], atol=1e-5)
        assert face.confidence > 0.99
        np.testing.assert_allclose(face.box[2], face.box[3])


def test_nothing_is_found_where_no_network_says_face_and_in_an_image_smaller_than_a_face(tmp_path: Path) -> None:
    none = Mtcnn(write_networks(tmp_path / "none", score=-9.0))
    assert none.detect(np.zeros((40, 60, 3), np.uint8)) == []
    every = Mtcnn(write_networks(tmp_path / "all", score=9.0))
    assert every.detect(np.zeros((12, 12, 3), np.uint8)) == []


def test_overlaps_are_counted_of_the_union_or_of_the_smaller_box() -> None:
    boxes = np.array([[0, 0, 10, 10, 0.9], [0, 0, 10, 5, 0.8], [20, 20, 30, 30, 0.7]], dtype=np.float64)
    assert mtcnn._without_overlaps(boxes, 0.6).tolist() == [0, 1, 2]
    assert mtcnn._without_overlaps(boxes, 0.4).tolist() == [0, 2]
    assert mtcnn._without_overlaps(boxes, 0.6, of_the_smaller=True).tolist() == [0, 2]


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    folder = write_networks(tmp_path / "networks", score=0.0)
    torch.save({"weight": torch.zeros(1)}, folder / "rnet.pt")
    with pytest.raises(InputError, match=r"rnet\.pt: these are not the weights of facenet-pytorch's rnet"):
        Mtcnn(folder)
    (folder / "rnet.pt").unlink()
    with pytest.raises(InputError, match="there is no such detector"):
        detector_from(folder)
    with pytest.raises(InputError, match=r"rnet\.pt: there is no such file"):
        Mtcnn(folder)
