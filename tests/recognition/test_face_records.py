"""Faces as embedding tables and quality scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.images.align import ARCFACE_TEMPLATE_112
from marginface.recognition import detect_and_align
from marginface.recognition.face_records import face_quality, in_crop, table_of
from marginface.records.embedding_table import EmbeddingTable
from tests.helpers.photographs import FramedFaces, colours, write_photograph


def test_a_table_names_people_photographs_and_failures(tmp_path: Path) -> None:
    write_photograph(tmp_path / "Ada" / "1.png", [(0, 10, 10, 112), (1, 150, 20, 60)])
    write_photograph(tmp_path / "loose.png", [(1, 10, 10, 112)])
    write_photograph(tmp_path / "none.png", [])
    faces = detect_and_align(tmp_path, detector=FramedFaces())
    table = table_of(faces, colours().embed(faces), source=str(tmp_path))
    table.save(tmp_path / "table")
    read = EmbeddingTable.load(tmp_path / "table")
    assert read.keys == ("Ada/1.png", "Ada/1.png#2", "loose.png")
    assert [read.identities[label] for label in read.labels] == ["Ada", "Ada", "unsorted"]
    assert read.columns["media"].tolist() == ["Ada/1.png", "Ada/1.png", "loose.png"]
    assert read.meta["missed"] == {"none.png": "no face"}
    assert read.meta["photographs"] == 3
    assert read.fingerprint == colours().fingerprint


def test_quality_is_that_of_the_house_with_what_the_photograph_tells(tmp_path: Path) -> None:
    photograph = write_photograph(tmp_path / "1.png", [(0, 10, 10, 112), (1, 150, 20, 56)])
    faces, model = detect_and_align(photograph, detector=FramedFaces()), colours()
    np.testing.assert_allclose(face_quality("norm", faces, model), model.embed(faces, flip="none").norms, rtol=1e-5)
    np.testing.assert_allclose(face_quality("inter_eye_distance", faces, model), faces.eye_distances, atol=0.02)
    np.testing.assert_allclose(face_quality("detector_confidence", faces, model), [0.9, 0.9])
    assert np.isfinite(face_quality("pose", faces, model)).all()
    with pytest.raises(InputError, match="no quality method 'nrom'; did you mean 'norm'"):
        face_quality("nrom", faces, model)
    np.testing.assert_allclose(in_crop(faces.faces[1], 112), ARCFACE_TEMPLATE_112, atol=1e-3)
