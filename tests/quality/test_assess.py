"""Claims about assessing a whole source, and about the files that come of it."""

from __future__ import annotations

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.images.detect import DetectedFace
from marginface.quality import QUALITY, assess, read_ofiq, usable_methods, write_ofiq
from marginface.quality.ofiq import scalars
from marginface.records.open import open_records
from tests.helpers.synthetic import write_faces


class Detects:
    """A detector that finds a face in every image but dark ones."""

    def detect(self, image):
        if image.mean() < 20:
            return []
        points = np.array([[40, 50], [70, 50], [55, 70], [45, 90], [65, 90]], float)
        return [DetectedFace(box=np.array([20.0, 20, 60, 80]), landmarks=points, confidence=0.9)]


def test_all_images_get_all_scores_in_their_order(people, model, batch):
    seen = []
    found = assess(people, list(QUALITY)[:-1], model=model, batch_size=7, progress=lambda *done: seen.append(done))
    assert found.keys == tuple(people.keys)
    for name in ("norm", "sharpness", "pose"):
        assert found.scores[name] == pytest.approx(QUALITY[name].compute(batch), rel=1e-4)
    assert seen[-1] == (16, 16)
    table = found.table()
    assert table.column("quality").tolist() == table.column("norm").tolist() == pytest.approx(table.norms.tolist())
    assert (table.fingerprint, table.meta["flip"]) == (model.fingerprint, "none")


def test_what_a_source_cannot_serve_is_said_and_refused(tmp_path, model):
    source = open_records(write_faces(tmp_path / "faces", size=48))
    usable, why = usable_methods(source)
    assert usable == ["sharpness", "exposure", "contrast", "uniformity"]
    assert why["norm"] == "it needs a model"
    assert "name a detector" in why["pose"]
    with pytest.raises(InputError, match="pose cannot be computed: the records carry no landmarks"):
        assess(source, ["pose"])
    with pytest.raises(InputError, match="no quality method 'sharpnes'.*sharpness"):
        assess(source, ["sharpnes"])
    with pytest.raises(InputError, match="no quality method is named"):
        assess(source, [])
    with pytest.raises(InputError, match="without a model"):
        assess(source, ["contrast"]).table()


def test_a_detector_serves_crops_that_carry_no_landmarks(tmp_path):
    source = open_records(write_faces(tmp_path / "faces", size=48))
    usable, _ = usable_methods(source, detector=Detects())
    assert {"pose", "detector_confidence"} <= set(usable)
    found = assess(source, ["pose", "detector_confidence"], detector=Detects())
    assert set(found.scores["detector_confidence"]) == {0.9}
    assert np.isfinite(found.scores["pose"]).all()


def test_a_broken_image_stops_or_is_named(tmp_path):
    folder = write_faces(tmp_path / "faces", num_identities=2, images_per_identity=2, size=48)
    (folder / "person_01" / "0000.jpg").write_bytes(b"no image")
    source = open_records(folder)
    with pytest.raises(InputError, match="person_01/0000.jpg"):
        assess(source, ["contrast"])
    found = assess(source, ["contrast"], skip_broken=True)
    assert len(found) == 3
    assert "person_01/0000.jpg" in found.broken[0]


def test_ofiq_files_come_back_by_name(tmp_path):
    keys = ["a/1.jpg", "a/2.jpg", "b/1.jpg"]
    scores = {"norm": np.array([20.5, np.nan, 18.0]), "same": np.ones(3)}
    write_ofiq(tmp_path / "q.csv", keys, scores)
    lines = (tmp_path / "q.csv").read_text().splitlines()
    assert lines[0] == "Filename;norm;same;norm.scalar;same.scalar"
    assert lines[2] == "a/2.jpg;0;1;-1.0000;50.0000"
    assert read_ofiq(tmp_path / "q.csv", keys)["norm"] == pytest.approx([100, np.nan, 0], nan_ok=True)
    assert set(read_ofiq(tmp_path / "q.csv", keys)) == {"norm"}


def test_ofiqs_own_files_are_read_whatever_folder_stands_in_front(tmp_path):
    text = (
        "Filename;UnifiedQualityScore;Sharpness;UnifiedQualityScore.scalar;Sharpness.scalar;assessment_time_in_ms\n"
        "/data/lfw/a/1.jpg;26.1;3;71;40;211\nC:\\faces\\b\\1.jpg;24.9;2;55;38;190\n/other/c.jpg;1;1;1;1;1\n"
    )
    (tmp_path / "ofiq.csv").write_text(text)
    found = read_ofiq(tmp_path / "ofiq.csv", ["b/1.jpg", "a/1.jpg"])
    assert {name: list(column) for name, column in found.items()} == {
        "UnifiedQualityScore": [55, 71],
        "Sharpness": [38, 40],
    }
    with pytest.raises(InputError, match=r"1 of 1 images have no line there, first x.jpg"):
        read_ofiq(tmp_path / "ofiq.csv", ["x.jpg"])
    (tmp_path / "other.csv").write_text("left,right\n")
    with pytest.raises(InputError, match="not a quality file"):
        read_ofiq(tmp_path / "other.csv", ["x.jpg"])


def test_scalars_are_ranks_from_0_to_100():
    assert scalars(np.array([3.0, 1.0, np.nan, 2.0, 2.0])).tolist() == pytest.approx([100, 0, -1, 50, 50])
