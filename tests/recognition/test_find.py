"""Known people are named, strangers are unknown, and every photograph has a line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.recognition.find import COLUMNS, Findings, find, person_of, pooled
from marginface.recognition.rows import write_rows
from tests.helpers.photographs import FramedFaces, colours, threshold, write_photograph


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Ada (identity 0) and Bob (1) are known; 2 and 3 are strangers."""
    known, photographs = tmp_path / "known", tmp_path / "photographs"
    write_photograph(known / "Ada.png", [(0, 10, 10, 112)])
    write_photograph(known / "Ada_2.png", [(0, 30, 10, 100)], view=1)
    write_photograph(known / "Bob" / "any name.png", [(1, 10, 10, 112), (5, 200, 20, 60)])
    write_photograph(known / "Eve.png", [])
    write_photograph(photographs / "1.png", [(0, 10, 10, 110), (2, 150, 20, 100)], view=3)
    write_photograph(photographs / "summer" / "2.png", [(1, 90, 40, 120)], view=4)
    write_photograph(photographs / "summer" / "3.png", [])
    (photographs / "4.jpg").write_text("not a picture")
    return known, photographs


def found(folders: tuple[Path, Path], *thresholds, **how) -> Findings:
    return find(*folders, model=colours(*thresholds), detector=FramedFaces(), **how)


def test_known_people_are_named_strangers_are_not_and_each_photograph_has_a_line(folders) -> None:
    told = found(folders, threshold())
    assert [(f.photograph, f.name) for f in told.findings] == [
        ("1.png", "Ada"),
        ("1.png", "unknown"),
        ("4.jpg", "cannot be read"),
        ("summer/2.png", "Bob"),
        ("summer/3.png", "no face"),
    ]
    assert told.people == {"Ada": 2, "Bob": 1}
    assert told.counts == {"known": 2, "unknown": 1, "no face": 1, "cannot be read": 1}
    assert [(m.name, m.reason) for m in told.not_enrolled] == [("Eve.png", "no face")]
    assert told.several_in_known == ("Bob/any name.png",)
    notes = " ".join(told.notes())
    assert "with 2 people known, a stranger's face is given a name in up to 0.002 of the cases" in notes
    assert "Eve.png: no face" in notes


def test_without_a_threshold_nobody_is_named(folders) -> None:
    told = found(folders)
    assert {f.answer for f in told.findings if f.face is not None} == {"not decided"}
    assert told.findings[0].nearest == "Ada"
    assert told.findings[0].name == "not decided"
    assert told.findings[0].words()[2] == "Ada?"
    assert "marginface calibrate" in told.notes()[-1]


def test_a_face_of_low_quality_gets_no_name(folders) -> None:
    least = max(f.quality for f in found(folders, threshold()).findings if f.quality is not None) + 1
    told = found(folders, threshold(), min_quality=least)
    assert {f.answer for f in told.findings if f.face is not None} == {"cannot tell"}
    assert told.findings[0].note.startswith("quality below")


def test_a_small_face_gets_no_name_and_makes_nobody_known(folders) -> None:
    known, photographs = folders
    write_photograph(photographs / "far.png", [(0, 10, 10, 20)])
    write_photograph(known / "Far.png", [(4, 10, 10, 20)])
    told = found(folders, threshold())
    far = next(f for f in told.findings if f.photograph == "far.png")
    assert (far.answer, far.nearest) == ("cannot tell", "Ada")
    assert far.note == "6 pixels between the eyes, fewer than 7"
    assert set(told.people) == {"Ada", "Bob"}
    assert ("Far.png", "too small") in [(m.name, m.reason) for m in told.not_enrolled]
    near = found(folders, threshold(), min_eye_distance=0)
    assert next(f for f in near.findings if f.photograph == "far.png").name == "Ada"
    assert "Far" in near.people


def test_a_score_between_the_two_ends_gets_no_name(folders) -> None:
    score = found(folders, threshold()).findings[0].score
    told = found(folders, threshold(score + 0.01, reject_below=score - 0.01))
    assert told.findings[0].answer == "cannot tell"


def test_a_single_photograph_and_pictures_in_memory_can_be_looked_at(folders) -> None:
    known, photographs = folders
    told = found((known, photographs / "1.png"), threshold())
    assert [f.name for f in told.findings] == ["Ada", "unknown"]


def test_a_folder_in_which_nobody_is_seen_is_refused(tmp_path: Path) -> None:
    write_photograph(tmp_path / "known" / "Eve.png", [])
    with pytest.raises(InputError, match="there is no face to know anybody by in its 1 photographs"):
        found((tmp_path / "known", tmp_path / "known"), threshold())


@pytest.mark.parametrize(
    "name, person",
    [
        ("Ada.jpg", "Ada"),
        ("Ada_2.jpg", "Ada"),
        ("Ada-0001.jpeg", "Ada"),
        ("Ada (3).png", "Ada"),
        ("Ada Lovelace 3.png", "Ada Lovelace"),
        ("Ada/3.png", "Ada"),
        ("Ada/at work/3.png", "Ada"),
        ("007.png", "007"),
        ("R2D2.png", "R2D2"),
        ("李小龙.jpg", "李小龙"),
    ],
)
def test_whose_photograph_it_is(name: str, person: str) -> None:
    assert person_of(name) == person


def test_a_template_is_the_mean_direction() -> None:
    units = np.array([[1, 0], [0, 1], [0, -1]], dtype=np.float32)
    people, templates = pooled(["b", "b", "a"], units)
    assert people == ("a", "b")
    np.testing.assert_allclose(templates, [[0, -1], [0.5**0.5, 0.5**0.5]], rtol=1e-6)


def test_rows_survive_csv_and_json_and_run_nothing_in_a_spreadsheet(folders, tmp_path: Path) -> None:
    write_photograph(folders[1] / '=cmd|" /C calc"!A0, or so\n.png', [(0, 10, 10, 110)])
    rows = [f.row() for f in found(folders, threshold()).findings]
    write_rows(tmp_path / "a.csv", rows, columns=COLUMNS)
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    assert [row["name"] for row in read] == [row["name"] for row in rows]
    assert all(not row["file"].startswith("=") for row in read)
    write_rows(tmp_path / "a.json", rows, columns=COLUMNS)
    assert json.loads((tmp_path / "a.json").read_text()) == rows
    with pytest.raises(InputError, match="ends in .csv or .json"):
        write_rows(tmp_path / "a.xlsx", rows, columns=COLUMNS)
    assert all(
        "\n" not in word and "\t" not in word for f in found(folders, threshold()).findings for word in f.words()
    )
