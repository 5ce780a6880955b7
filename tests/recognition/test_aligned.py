"""Photographs become crops, and every photograph is accounted for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import marginface as mf
from marginface.errors import InputError
from marginface.images.align import ARCFACE_TEMPLATE_112, similarity_transform
from marginface.images.decode import BrokenImageError
from marginface.recognition import detect_and_align
from tests.helpers.photographs import FramedFaces, colours, photograph, write_photograph
from tests.helpers.synthetic import face

DETECTOR = FramedFaces()
TWO = [(0, 10, 10, 112), (1, 150, 20, 84)]


def test_a_face_is_cut_out_as_it_was_pasted() -> None:
    faces = detect_and_align(photograph(TWO), detector=DETECTOR)
    assert faces.crops.shape == (2, 112, 112, 3)
    inside = (slice(3, -3), slice(3, -3))
    pasted = face(identity=0, image=0, size=112)
    np.testing.assert_allclose(faces.crops[0][inside].astype(int), pasted[inside], atol=1)
    assert [f.box.tolist() for f in faces.faces] == [[10, 10, 112, 112], [150, 20, 84, 84]]
    assert faces.eye_distances[0] == pytest.approx(np.linalg.norm(ARCFACE_TEMPLATE_112[1] - ARCFACE_TEMPLATE_112[0]))
    moved = similarity_transform(faces.faces[1].landmarks, 112)
    assert np.hypot(moved[0, 0], moved[1, 0]) == pytest.approx(112 / 84)


def test_a_path_bytes_an_array_and_a_pil_image_are_one_picture(tmp_path: Path) -> None:
    path = write_photograph(tmp_path / "a.png", TWO)
    kinds = [path, str(path), path.read_bytes(), photograph(TWO), Image.open(path)]
    expected = detect_and_align(path, detector=DETECTOR)
    for picture in kinds:
        faces = detect_and_align(picture, detector=DETECTOR)
        np.testing.assert_array_equal(faces.crops, expected.crops)
    together = detect_and_align(kinds[2:], detector=DETECTOR)
    assert together.photographs == ("image 0", "image 0", "image 1", "image 1", "image 2", "image 2")
    assert together.keys[:3] == ("image 0", "image 0#2", "image 1")


def test_which_of_several_faces_is_asked_for() -> None:
    image = photograph([(0, 0, 0, 112), (1, 130, 90, 64)])
    sides = {
        which: [int(f.box[2]) for f in detect_and_align(image, detector=DETECTOR, which=which).faces]
        for which in ("all", "largest", "central")
    }
    assert sides == {"all": [112, 64], "largest": [112], "central": [64]}
    assert detect_and_align(image, detector=DETECTOR, which="largest").num_found == {"image 0": 2}


def test_nothing_is_dropped_in_silence(tmp_path: Path) -> None:
    write_photograph(tmp_path / "b" / "two.png", TWO)
    write_photograph(tmp_path / "a.jpg", [])
    (tmp_path / "b" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "c.svg").write_text("<svg/>")
    (tmp_path / "notes.txt").write_text("no photograph")
    (tmp_path / ".hidden.png").write_bytes(b"")
    faces = detect_and_align(tmp_path, detector=DETECTOR)
    assert faces.num_photographs == 4
    assert faces.photographs == ("b/two.png", "b/two.png")
    assert [(m.name, m.reason) for m in faces.missed] == [
        ("a.jpg", "no face"),
        ("b/broken.png", "cannot be read"),
        ("c.svg", "cannot be read"),
    ]
    assert "SVG drawing" in faces.missed[2].detail


def test_a_single_picture_that_cannot_be_read_is_an_error_and_one_without_a_face_is_not(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(BrokenImageError, match=r"broken\.png: this file is damaged"):
        detect_and_align(tmp_path / "broken.png", detector=DETECTOR)
    none = detect_and_align(photograph([]), detector=DETECTOR)
    assert (len(none), none.crops.shape, none.missed[0].reason) == (0, (0, 112, 112, 3), "no face")
    assert colours().embed(none).vectors.shape == (0, 108)


def test_folders_without_photographs_and_names_given_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no photograph in it"):
        detect_and_align(tmp_path, detector=DETECTOR)
    path = write_photograph(tmp_path / "a.png", TWO)
    with pytest.raises(InputError, match="given twice"):
        detect_and_align([path, path], detector=DETECTOR)


def test_the_number_of_threads_changes_nothing_and_progress_is_told(tmp_path: Path) -> None:
    for i in range(7):
        write_photograph(tmp_path / f"{i}.png", [(i, 10 + i, 10, 100)])
    told: list[tuple[int, int]] = []
    one = detect_and_align(tmp_path, detector=DETECTOR, workers=1, progress=lambda *now: told.append(now))
    four = detect_and_align(tmp_path, detector=DETECTOR, workers=4)
    np.testing.assert_array_equal(one.crops, four.crops)
    assert one.keys == four.keys
    assert told == [(i, 7) for i in range(1, 8)]


def test_a_photograph_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    upright = write_photograph(tmp_path / "a.png", TWO)
    turned = tmp_path / "b.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(photograph(TWO), k=1)).save(turned, exif=exif)
    a, b = (detect_and_align(path, detector=DETECTOR) for path in (upright, turned))
    np.testing.assert_array_equal(a.crops, b.crops)


def test_faces_are_embedded_as_their_crops_are_and_fitted_to_the_model() -> None:
    model, faces = colours(), detect_and_align(photograph(TWO), detector=DETECTOR)
    embeddings = model.embed(faces, flip="none")
    assert isinstance(embeddings.vectors, np.ndarray)
    assert (embeddings.vectors.shape, embeddings.fingerprint, embeddings.flip) == ((2, 108), model.fingerprint, "none")
    np.testing.assert_allclose(np.linalg.norm(embeddings.unit, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(embeddings.norms, np.linalg.norm(embeddings.vectors, axis=1))
    larger = detect_and_align(photograph(TWO), detector=DETECTOR, size=160)
    again = model.embed(larger, flip="none")
    assert (again.unit * embeddings.unit).sum(axis=1).min() > 0.99


def test_the_public_names_are_there() -> None:
    assert mf.detect_and_align is detect_and_align
    assert {"verify", "find", "open_model", "open_detector"} <= set(dir(mf))
