"""A folder of photographs becomes records, and whatever is not among them is in the log."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.images.align import ARCFACE_TEMPLATE_112
from marginface.images.decode import decode_image
from marginface.quality import assess
from marginface.recognition.align_folder import Alignment, align_folder
from marginface.records.open import open_records
from tests.helpers.photographs import FramedFaces, write_photograph
from tests.helpers.synthetic import face


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    write_photograph(folder / "Ada" / "1.png", [(0, 10, 10, 112), (3, 150, 20, 60)])
    write_photograph(folder / "Ada" / "1.jpg", [(0, 30, 10, 112)], view=1)
    write_photograph(folder / "Ada" / "summer" / "2.png", [(0, 30, 10, 100)], view=2)
    write_photograph(folder / "Bob" / "none.png", [])
    write_photograph(folder / "Bob" / "far.png", [(1, 30, 10, 40)])
    write_photograph(folder / "loose.png", [(2, 30, 10, 112)])
    (folder / "Bob" / "broken.jpg").write_text("no picture")
    return folder


def aligned(folder: Path, out: Path, scheme: str = "tar", **how) -> Alignment:
    return align_folder(folder, f"{scheme}:{out}", detector=FramedFaces(), **how)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("scheme, name", [("tar", "faces.tar"), ("folder", "faces")])
def test_records_hold_the_crops_of_each_person(photographs: Path, tmp_path: Path, scheme: str, name: str) -> None:
    done = aligned(photographs, tmp_path / name, scheme)
    records = open_records(done.out)
    assert list(records.keys) == [
        *("Ada/1-2.jpg", "Ada/1.jpg", "Ada/summer/2.jpg"),
        *("Bob/far.jpg", "unsorted/loose.jpg"),
    ]
    assert records.identities == ("Ada", "Bob", "unsorted")
    crop = decode_image(records[records.keys.index("Ada/1-2.jpg")].image, name="a")
    assert np.abs(crop[4:-4, 4:-4].astype(int) - face(identity=0, image=0, size=112)[4:-4, 4:-4]).mean() < 4
    assert (done.num_photographs, done.num_faces, done.num_identities, done.photographs_without) == (7, 5, 3, 2)


def test_everything_left_out_is_in_the_log_with_its_reason(photographs: Path, tmp_path: Path) -> None:
    done = aligned(photographs, tmp_path / "faces.tar", min_eye_distance=20)
    assert done.rejected == {"not chosen": 1, "too small": 1, "no face": 1, "cannot be read": 1}
    log = {(row["file"], row["reason"]) for row in rows(done.rejects)}
    assert log == {
        ("Ada/1.png", "not chosen"),
        ("Bob/broken.jpg", "cannot be read"),
        ("Bob/far.png", "too small"),
        ("Bob/none.png", "no face"),
    }
    assert done.num_photographs == done.num_faces + done.photographs_without


def test_all_faces_can_be_taken_and_the_log_of_faces_says_where_they_were(photographs: Path, tmp_path: Path) -> None:
    done = aligned(photographs, tmp_path / "faces.tar", which="all")
    assert done.num_faces == 6
    by_key = {row["key"]: row for row in rows(done.faces)}
    assert (by_key["Ada/1-2.jpg"]["file"], by_key["Ada/1-2.jpg"]["left"]) == ("Ada/1.png", "10.0")
    assert (by_key["Ada/1-3.jpg"]["file"], by_key["Ada/1-3.jpg"]["width"]) == ("Ada/1.png", "60.0")
    found = np.array([[float(by_key["Ada/1.jpg"][f"{axis}{i}"]) for axis in "xy"] for i in range(1, 6)])
    np.testing.assert_allclose(found, ARCFACE_TEMPLATE_112, atol=0.01)


def test_the_files_do_not_depend_on_the_number_of_threads(photographs: Path, tmp_path: Path) -> None:
    one, three = (aligned(photographs, tmp_path / f"{n}.tar", workers=n) for n in (1, 3))
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "3.tar").read_bytes()
    assert one.faces.read_bytes() == three.faces.read_bytes()


class _Counting(FramedFaces):
    """Counts how often it is asked."""

    _num_asked = 0

    def detect(self, image):
        self._num_asked += 1
        return super().detect(image)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("stop", [1, 4, 7])
def test_an_interrupted_look_goes_on_and_leaves_the_same_files(
    photographs: Path, tmp_path: Path, stop: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("marginface.records.unfinished._SECONDS", 0)
    monkeypatch.setattr("marginface.records.unfinished._REST", 0)

    def stop_there(done: int, total: int) -> None:
        assert total == 7
        if done == stop:
            raise KeyboardInterrupt

    def run(out: str, progress=None, **how) -> _Counting:
        detector = _Counting()
        align_folder(photographs, f"tar:{tmp_path}/{out}/a.tar", detector=detector, progress=progress, **how)
        return detector

    run("whole", which="all")
    with pytest.raises(KeyboardInterrupt):
        run("stopped", stop_there, which="all", workers=1)
    assert [path.name for path in (tmp_path / "stopped").iterdir()] == [".a.tar.faces"]
    seen = []
    detector = run("stopped", lambda done, total: seen.append(done), which="all", min_eye_distance=0.0)
    assert seen == list(range(stop + 1, 8))
    assert detector._num_asked <= 7 - stop
    assert files_of(tmp_path / "stopped") == files_of(tmp_path / "whole")

    with pytest.raises(KeyboardInterrupt):
        run("other", stop_there, which="largest")
    run("other", which="all")
    assert "not of this job (which); it begins anew" in caplog.text
    assert files_of(tmp_path / "other") == files_of(tmp_path / "whole")


def test_landmarks_and_scores_stay_with_the_records_where_the_format_holds_them(
    photographs: Path, tmp_path: Path
) -> None:
    from marginface.records.packed_write import write_packed
    from marginface.records.write import WRITERS

    if "packed" not in WRITERS:
        WRITERS_with = {**WRITERS, "packed": write_packed}
        pytest.MonkeyPatch().setattr("marginface.recognition.align_folder.WRITERS", WRITERS_with)
    done = aligned(photographs, tmp_path / "faces", "packed")
    record = open_records(done.out)[0]
    np.testing.assert_allclose(record.landmarks, ARCFACE_TEMPLATE_112, atol=0.01)
    assert record.meta["photograph"] == "Ada/1.png"
    scores = assess(open_records(done.out), ["inter_eye_distance", "detector_confidence"]).scores
    assert scores["inter_eye_distance"][0] == pytest.approx(35.24, abs=0.05)
    assert scores["detector_confidence"].tolist() == pytest.approx([0.9] * 5)


def test_nothing_is_written_over_and_wrong_names_are_refused(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "there.tar").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        aligned(photographs, tmp_path / "there.tar")
    for wrong in ("zip:faces.zip", "faces.tar", "tar:"):
        with pytest.raises(InputError, match="write for example tar:faces.tar"):
            align_folder(photographs, wrong, detector=FramedFaces())
    write_photograph(tmp_path / "empty" / "1.png", [])
    with pytest.raises(InputError, match="no face in any of its 1 photographs"):
        aligned(tmp_path / "empty", tmp_path / "faces.tar")
    assert not (tmp_path / "faces.tar").exists()
    assert (tmp_path / "there.tar").read_text() == "mine"
