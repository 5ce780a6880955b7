"""verify, find, embed, cluster and data align as a user types them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from marginface.cli.main import main
from marginface.models import save_model
from marginface.records.embedding_table import EmbeddingTable
from tests.helpers.photographs import FramedFaces, colours, threshold, write_photograph


@pytest.fixture(autouse=True)
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model in MARGINFACE_HOME, a detector of frames, and photographs of Ada (0) and a stranger (1)."""
    monkeypatch.setenv("MARGINFACE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MARGINFACE_MODEL", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("marginface.recognition.defaults.detector_from", lambda path: FramedFaces())
    monkeypatch.setenv("MARGINFACE_DETECTOR", "frames")
    save_model(colours(threshold()), tmp_path / "home" / "model")
    write_photograph(tmp_path / "known" / "Ada.png", [(0, 10, 10, 112)])
    for view in range(1, 4):
        write_photograph(tmp_path / "photos" / "Ada" / f"{view}.png", [(0, 10 + 5 * view, 10, 112)], view=view)
    write_photograph(tmp_path / "photos" / "stranger.png", [(1, 10, 10, 112)])
    write_photograph(tmp_path / "photos" / "nobody.png", [])
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str]:
    assert main(list(words)) == 0
    return capsys.readouterr()


def test_verify_says_the_answer_the_score_and_the_rate_behind_it(capsys) -> None:
    out, _ = said(capsys, "verify", "known/Ada.png", "photos/Ada/1.png")
    assert out.startswith("same, score 0.")
    assert "threshold 0.500: FMR 0.001 (0.001 seen on painted people)." in out
    out, _ = said(capsys, "verify", "known/Ada.png", "photos/stranger.png", "--json")
    assert json.loads(out)["decision"] == "different"
    out, _ = said(capsys, "verify", "known/Ada.png", "photos/nobody.png")
    assert out.startswith("cannot tell\nthere is no face in the second photograph.")


def test_find_prints_a_line_for_each_face_or_writes_a_table(capsys, album: Path) -> None:
    out, err = said(capsys, "find", "known", "photos")
    lines = [line.split("\t") for line in out.splitlines()]
    assert [(line[0], line[2]) for line in lines] == [
        *((f"Ada/{view}.png", "Ada") for view in range(1, 4)),
        ("nobody.png", "no face"),
        ("stranger.png", "unknown"),
    ]
    assert lines[0][1] == "112x112+15+10"
    assert "3 known, 1 no face, 1 unknown." in err
    said(capsys, "find", "known", "photos", "--out", "found.csv")
    with (album / "found.csv").open(newline="", encoding="utf-8") as file:
        assert [row["name"] for row in csv.DictReader(file)] == [line[2] for line in lines]
    said(capsys, "find", "known", "photos/stranger.png", "--out", "found.json")
    assert json.loads((album / "found.json").read_text())[0]["answer"] == "unknown"


def test_data_align_and_embed_make_one_table_either_way(capsys, album: Path) -> None:
    out, _ = said(capsys, "data", "align", "photos", "--out", "tar:faces.tar")
    assert "4 faces of 2 people" in out
    assert "left out, no face: 1" in out
    said(capsys, "embed", "tar:faces.tar", "--out", "stored", "--workers", "0")
    out, _ = said(capsys, "embed", "photos", "--detect", "--out", "seen")
    assert "without an embedding, no face: 1" in out
    stored, seen = EmbeddingTable.load(album / "stored"), EmbeddingTable.load(album / "seen")
    assert [seen.identities[label] for label in seen.labels] == [stored.identities[label] for label in stored.labels]
    assert (stored.unit * seen.unit).sum(axis=1).min() > 0.999


def test_cluster_makes_a_folder_a_person(capsys, album: Path) -> None:
    out, _ = said(capsys, "cluster", "photos", "--out", "people")
    assert "people: 1 people, 1 faces unsorted, 0 of the faces placed by hand" in out
    assert len(list((album / "people" / "person-001").iterdir())) == 3
    (album / "people" / "person-001").rename(album / "people" / "Ada")
    out, _ = said(capsys, "cluster", "photos", "--out", "people")
    assert "3  Ada" in out


@pytest.mark.parametrize(
    "words, sentence",
    [
        ("verify known/Ada.png nothing.png", "nothing.png: there is no such file"),
        ("verify known/Ada.png notes.png", "notes.png: this file is not one of JPEG, PNG"),
        ("verify known/Ada.png photos/stranger.png --fmr 1e-6", "calibrate on more comparisons"),
        ("find nowhere photos", "nowhere: there is no such folder or file"),
        ("find known photos --out found.xlsx", "ends in .csv or .json"),
        ("find known photos --quality beauty", "no quality method 'beauty'"),
        ("cluster photos --out known", "known: this is no album"),
        ("data align photos --out faces.tar", "write for example tar:faces.tar"),
        ("embed photos --detect --out known", "exists and is no embedding table"),
        ("verify known/Ada.png photos/stranger.png --model known", "neither a model folder"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_sentence(capsys, album: Path, words: str, sentence: str) -> None:
    (album / "notes.png").write_text("no picture")
    assert main(words.split()) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert "Traceback" not in err


def test_without_a_model_the_three_places_are_named(capsys, album: Path) -> None:
    (album / "home" / "model").rename(album / "elsewhere")
    assert main(["verify", "known/Ada.png", "photos/stranger.png"]) == 2
    err = capsys.readouterr().err
    assert all(way in err for way in ("--model", "MARGINFACE_MODEL", "home/model", "models pull"))


def test_the_variable_names_the_model(capsys, album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (album / "home" / "model").rename(album / "elsewhere")
    monkeypatch.setenv("MARGINFACE_MODEL", str(album / "elsewhere"))
    assert said(capsys, "verify", "known/Ada.png", "photos/Ada/1.png")[0].startswith("same")
