"""On photographs, where they are at hand: faces are found in all of them, and people are told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from marginface.images.yunet import YuNet
from marginface.models import load_model
from marginface.models.convert import import_checkpoint
from marginface.recognition import detect_and_align
from marginface.recognition.find import person_of

pytestmark = [pytest.mark.real_data, pytest.mark.slow]


@pytest.fixture
def yunet(real_data: Path) -> YuNet:
    return YuNet(real_data / "weights" / "yunet" / "face_detection_yunet_2023mar.onnx")


def test_a_face_is_found_in_every_photograph_of_forty_people(real_data: Path, yunet: YuNet) -> None:
    faces = detect_and_align(real_data / "photos" / "lfw40", detector=yunet, which="central")
    assert (len(faces), faces.num_photographs, faces.missed) == (199, 199, ())
    assert 30 < np.median(faces.eye_distances) < 60


@pytest.mark.parametrize("orientation, quarter_turns", [(6, 1), (3, 2), (8, 3)])
def test_a_photograph_held_sideways_shows_the_same_people(
    real_data: Path, yunet: YuNet, tmp_path: Path, orientation: int, quarter_turns: int
) -> None:
    group = real_data / "photos" / "group_six_people.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.rot90(np.asarray(Image.open(group)), k=quarter_turns)).save(tmp_path / "turned.png", exif=exif)
    expected, turned = (detect_and_align(path, detector=yunet) for path in (group, tmp_path / "turned.png"))
    assert len(expected) == len(turned) == 6
    moved = [np.abs(a.landmarks - b.landmarks).max() for a, b in zip(expected.faces, turned.faces, strict=True)]
    assert max(moved) < 2


def test_a_published_model_tells_ten_people_apart(real_data: Path, yunet: YuNet, tmp_path: Path) -> None:
    weights = real_data / "weights" / "edgeface-xxs" / "edgeface_xxs_q_dequantized_fp32.pth"
    import_checkpoint([weights], name="edgeface").save(tmp_path / "model")
    model = load_model(tmp_path / "model")
    people = sorted((real_data / "photos" / "lfw40").iterdir())[:10]
    faces = detect_and_align([p for one in people for p in sorted(one.iterdir())[:2]], detector=yunet, which="central")
    unit = model.embed(faces).unit
    who = np.array([person_of(Path(name).name) for name in faces.photographs])
    scores, same = unit @ unit.T, who[:, None] == who
    np.fill_diagonal(scores, np.nan)
    assert np.nanmin(scores[same]) > np.nanmax(scores[~same])
