"""People of an album in folders; what was done by hand stays."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from marginface.errors import InputError
from marginface.recognition.album import Album, cluster_album
from tests.helpers.photographs import FramedFaces, colours, threshold, write_photograph


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Identities 0 (four photographs), 1 (three), 2 (one, beside 0), and one photograph of nobody."""
    folder = tmp_path / "photographs"
    for view in range(4):
        beside = [(2, 180, 20, 100)] if view == 0 else []
        write_photograph(folder / f"zero{view}.png", [(0, 10 + 9 * view, 10, 112), *beside], view=view)
    for view in range(3):
        write_photograph(folder / "summer" / f"one{view}.png", [(1, 10 + 9 * view, 10, 112)], view=view)
    write_photograph(folder / "none.png", [])
    return folder


def sort(photographs: Path, **how) -> Album:
    return cluster_album(
        photographs, photographs.parent / "album", model=colours(threshold()), detector=FramedFaces(), **how
    )


def placed(album: Album) -> dict[str, list[str]]:
    """Return {folder: photographs of its faces}, as they lie on disk."""
    return {
        folder.name: sorted(path.name.rpartition("-")[0] for path in folder.iterdir())
        for folder in sorted(album.folder.iterdir())
        if folder.is_dir()
    }


def test_each_person_gets_a_folder_and_a_single_face_none(photographs: Path) -> None:
    album = sort(photographs)
    assert placed(album) == {
        "person-001": ["zero0", "zero1", "zero2", "zero3"],
        "person-002": ["one0", "one1", "one2"],
        "unsorted": ["zero0"],
    }
    assert (album.people, album.num_unsorted) == ({"person-001": 4, "person-002": 3}, 1)
    assert (album.num_photographs, album.missed) == (8, {"no face": 1})
    with (album.folder / "album.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["file"] for row in rows if row["person"] == "person-002"} == {f"summer/one{v}.png" for v in range(3)}
    assert all(float(row["score"]) > 0.5 for row in rows if row["person"] != "unsorted")


def test_a_second_run_changes_nothing(photographs: Path) -> None:
    first = sort(photographs)
    files = {path: path.read_bytes() for path in first.folder.rglob("*") if path.is_file()}
    second = sort(photographs)
    assert second == first
    assert {path: path.read_bytes() for path in first.folder.rglob("*") if path.is_file()} == files


def test_names_given_by_hand_stay_and_new_faces_join_them(photographs: Path) -> None:
    album = sort(photographs)
    (album.folder / "person-002").rename(album.folder / "Ada Lovelace")
    for view in (3, 4):
        write_photograph(photographs / f"one{view}.png", [(1, 30, 10, 100)], view=view)
        write_photograph(photographs / f"five{view}.png", [(5, 30, 10, 100)], view=view)
    again = sort(photographs)
    assert placed(again) == {
        "Ada Lovelace": ["one0", "one1", "one2", "one3", "one4"],
        "person-001": ["zero0", "zero1", "zero2", "zero3"],
        "person-003": ["five3", "five4"],
        "unsorted": ["zero0"],
    }
    assert again.num_by_hand == 3
    assert placed(sort(photographs)) == placed(again)


def test_a_face_moved_by_hand_stays_with_its_folder(photographs: Path) -> None:
    album = sort(photographs)
    moved = next((album.folder / "person-001").glob("zero3-*.jpg"))
    moved.rename(album.folder / "person-002" / moved.name)
    for _ in range(2):
        again = sort(photographs)
        assert placed(again)["person-002"] == ["one0", "one1", "one2", "zero3"]
        assert again.num_by_hand == 4


def test_a_face_deleted_by_hand_does_not_come_back(photographs: Path) -> None:
    album = sort(photographs)
    next((album.folder / "unsorted").iterdir()).unlink()
    for _ in range(2):
        again = sort(photographs)
        assert "unsorted" not in placed(again)
        assert (again.num_removed, again.num_unsorted) == (1, 0)


def test_named_people_are_known_when_their_photographs_are_gone(photographs: Path, tmp_path: Path) -> None:
    album = sort(photographs)
    (album.folder / "person-002").rename(album.folder / "Ada")
    shutil.rmtree(photographs)
    write_photograph(photographs / "new.png", [(1, 30, 10, 112)], view=7)
    again = sort(photographs)
    assert placed(again)["Ada"] == ["new", "one0", "one1", "one2"]


def test_small_faces_are_put_with_nobody(photographs: Path) -> None:
    for view in (5, 6):
        write_photograph(photographs / f"far{view}.png", [(1, 30, 10, 20)], view=view)
    assert placed(sort(photographs))["unsorted"] == ["far5", "far6", "zero0"]


def test_a_killed_run_is_gone_on_with_and_moves_of_its_own_are_not_taken_for_a_persons(photographs: Path) -> None:
    album = sort(photographs)
    expected = placed(album)
    (album.folder / "album.csv").rename(album.folder / "album.next.csv")  # killed before the last rename
    next((album.folder / "person-001").iterdir()).unlink()  # and before this file was written
    again = sort(photographs)
    assert placed(again) == expected
    assert (again.num_by_hand, again.num_removed) == (0, 0)


def test_without_a_threshold_or_in_a_folder_of_something_else_it_is_refused(photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"marginface calibrate.*or give a score"):
        cluster_album(photographs, tmp_path / "album", model=colours(), detector=FramedFaces())
    assert cluster_album(photographs, tmp_path / "b", model=colours(), detector=FramedFaces(), score=0.5).people
    with pytest.raises(InputError, match="this is no album"):
        cluster_album(photographs, photographs, model=colours(threshold()), detector=FramedFaces())
