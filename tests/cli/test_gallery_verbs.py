"""marginface gallery and marginface search, as typed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from marginface.cli.main import main
from marginface.images.normalize import InputContract
from marginface.models import FaceModel, ModelCard, Threshold, save_model
from tests.helpers.plain_backbone import PlainBackboneConfig
from tests.helpers.synthetic import write_faces


def _save_model(folder: Path, seed: int, *, calibrated: bool = True) -> Path:
    config = PlainBackboneConfig(embedding_dim=16)
    threshold = Threshold(score=0.9999, target_fmr=1e-4, achieved_fmr=1e-4, data="drawn faces")
    card = ModelCard(name=f"model {seed}", thresholds=(threshold,) if calibrated else ())
    save_model(FaceModel(config.build(input_size=32, seed=seed), config, InputContract(input_size=32), card), folder)
    return folder


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    return write_faces(tmp_path / "faces", num_identities=4, images_per_identity=2, size=112)


@pytest.fixture
def team(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """A gallery of three of the four people, one image each."""
    model, place = _save_model(tmp_path / "model", 0), str(tmp_path / "team.db")
    assert main(["gallery", "create", place, "--model", str(model), "--keep-crops"]) == 0
    for person in ("person_00", "person_01", "person_02"):
        (tmp_path / "known" / person).mkdir(parents=True)
        shutil.copy(faces / person / "0000.jpg", tmp_path / "known" / person)
    assert main(["gallery", "enrol", place, str(tmp_path / "known"), "--aligned", "--allow-duplicates"]) == 0
    capsys.readouterr()
    return place


def test_the_whole_way(team: str, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gallery", "list", team]) == 0
    assert capsys.readouterr().out.splitlines() == ["person_00\t1", "person_01\t1", "person_02\t1"]
    probes = [str(faces / f"person_0{i}" / "0000.jpg") for i in (1, 3)]
    assert main(["search", team, *probes, "--aligned", "--top-k", "2"]) == 0
    said = capsys.readouterr()
    first, second = (line.split("\t") for line in said.out.splitlines())
    assert first[1:3] == ["person_01", "1.000"]
    assert len(first) == 5
    assert second[1] == "unknown"
    assert "FMR 0.0001 a comparison on drawn faces; among 3 people" in said.err

    assert main(["gallery", "export", team, str(tmp_path / "out.tar")]) == 0
    assert main(["gallery", "import", str(tmp_path / "copy.db"), str(tmp_path / "out.tar"), "--allow-duplicates"]) == 0
    assert "3 of 3 people taken in" in capsys.readouterr().out
    assert main(["gallery", "remove", team, "person_01"]) == 0
    assert "person_01: erased, 1 images" in capsys.readouterr().out
    assert main(["search", team, probes[0], "--aligned", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["name"] is None
    assert told["point"]["num_people"] == 2
    assert main(["gallery", "audit", team, "--log"]) == 0
    said = capsys.readouterr()
    assert "2 people, 2 images, 6 audit entries" in said.out
    assert "person_01" not in said.out


def test_a_folder_of_people(team: str, faces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (faces / "person_00" / "broken.jpg").write_bytes(b"no picture")
    words = ["gallery", "enrol", team, str(faces), "--aligned", "--allow-duplicates", "--replace"]
    assert main(words) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [f"person_0{i}\t2 images added, 2 in all" for i in range(4)]
    assert "broken.jpg" in said.err


def test_another_model_is_refused_and_reembed_is_the_way_out(
    team: str, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, photo = _save_model(tmp_path / "other", 1), str(faces / "person_02" / "0000.jpg")
    assert main(["search", team, photo, "--aligned", "--model", str(other)]) == 2
    assert "marginface gallery reembed" in capsys.readouterr().err
    assert main(["gallery", "reembed", team, "--model", str(other), "--out", str(tmp_path / "new.db")]) == 0
    assert main(["search", str(tmp_path / "new.db"), photo, "--aligned"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split("\t")[1] == "person_02"


def test_damage_is_a_sentence_and_repair_mends_it(team: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(team).write_bytes(Path(team).read_bytes()[:5000])
    assert main(["gallery", "list", team]) == 1
    said = capsys.readouterr().err
    assert f"`marginface gallery repair {team}`" in said
    assert main(["gallery", "repair", team]) == 0
    assert "3 people with 3 images are back" in capsys.readouterr().out
    assert main(["gallery", "audit", team]) == 1, "the damaged database is still there"
    Path(f"{team}.damaged").unlink()
    assert main(["gallery", "audit", team]) == 0


def test_index_says_what_it_misses(team: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("faiss")
    assert main(["gallery", "index", team, "--kind", "ivf"]) == 0
    assert "3 of 3 faces with score 1.000" in capsys.readouterr().out


def test_mistakes_are_one_sentence(team: str, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = str(faces / "person_02" / "0000.jpg")
    for words, says in (
        (["gallery", "create", team, "--model", str(tmp_path / "model")], "already"),
        (["gallery", "list", str(tmp_path / "none.db")], "marginface gallery create"),
        (["gallery", "remove", team, "nobody"], "'nobody' is not enrolled"),
        (["gallery", "import", team, photo], "not an undamaged export"),
        (["gallery", "export", team, photo], "exists"),
        (["search", team, photo, "--aligned", "--fmr", "1e-6"], "1e-06"),
        (["search", team, photo, "--aligned", "--top-k", "0"], "top_k"),
        (["search", team, str(tmp_path / "none.jpg"), "--aligned"], "none.jpg"),
        (["gallery", "enrol", team, photo, "--name", "a\x1bb", "--aligned"], "nobody was enrolled"),
    ):
        assert main(words) == 2, words
        last = capsys.readouterr().err.strip().splitlines()[-1]
        assert last.startswith("marginface: ")
        assert says in last


def test_a_model_that_was_moved_is_asked_for(
    team: str, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.move(tmp_path / "model", tmp_path / "moved")
    monkeypatch.delenv("MARGINFACE_MODEL", raising=False)
    monkeypatch.setenv("MARGINFACE_HOME", str(tmp_path / "home"))
    photo = str(faces / "person_02" / "0000.jpg")
    assert main(["search", team, photo, "--aligned"]) == 2
    assert "--model" in capsys.readouterr().err
    assert main(["search", team, photo, "--aligned", "--model", str(tmp_path / "moved")]) == 0
