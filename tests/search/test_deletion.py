"""Somebody who is removed is removed everywhere: the bytes of all files are looked through."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from marginface.search.settings import Vectors
from tests.search.made_up import faces_of, hand_over, keeping_crops, new_gallery, open_gallery

NAME = "Zacharias Quixote-Xylophone"


def _traces(files: Iterable[Path], vectors: Vectors) -> list[str]:
    """Return the files in which the name, a crop or any eight neighbouring numbers of a vector are found."""
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    needles = [NAME.encode(), b"a picture of Zacharias"]
    needles += [row[i : i + 8].tobytes() for row in unit for i in range(0, unit.shape[1], 8)]
    found = []
    for file in files:
        content = file.read_bytes()
        found += [file.name for needle in needles if needle in content]
    return found


@pytest.mark.parametrize("still_open", [True, False])
def test_no_byte_of_the_person_is_left_in_any_file(tmp_path: Path, still_open: bool) -> None:
    path = tmp_path / "team.db"
    theirs = faces_of(77, 3)
    images = [b"a picture of Zacharias"] * 3
    with new_gallery(path, policy=keeping_crops()) as gallery, open_gallery(path) as reader:
        for person in range(4):
            gallery.enrol(f"person {person}", faces_of(person), crops=[b"a crop"])
        gallery.enrol(NAME, theirs[:2], crops=images[:2])
        gallery.enrol(NAME, theirs[2:], crops=images[2:])
        template = theirs.sum(axis=0, keepdims=True)
        assert reader.search(template)[0].name == NAME
        assert len(_traces(tmp_path.iterdir(), np.concatenate([theirs, template]))) > 3, "the search itself works"
        (removal,) = gallery.remove(NAME)
        assert removal.num_images == 3
        assert reader.search(template)[0].name is None
        if still_open:
            assert _traces(tmp_path.iterdir(), np.concatenate([theirs, template])) == []
        assert gallery.audit().problems == ()
        log = " ".join(entry.detail for entry in gallery.store.entries())
        assert NAME not in log
    assert _traces(tmp_path.iterdir(), np.concatenate([theirs, template])) == []


def test_replaced_images_are_erased_too(tmp_path: Path) -> None:
    with new_gallery(tmp_path / "team.db") as gallery:
        old, new = faces_of(77, 2), faces_of(78, 2)
        gallery.enrol("Ada", old)
        gallery.enrol("Ada", new, replace=True)
        assert _traces(tmp_path.iterdir(), old) == []


def test_nothing_of_an_erased_person_comes_back_with_a_repair(tmp_path: Path) -> None:
    from marginface.search.repair import repair_gallery

    path = tmp_path / "team.db"
    with new_gallery(path) as gallery:
        hand_over(gallery, 3)
        gallery.remove("person 1")
    path.write_bytes(b"not a database any more" * 300)
    assert repair_gallery(path).num_people == 2
    with open_gallery(path) as gallery:
        assert [p.name for p in gallery.people()] == ["person 0", "person 2"]
        assert (tmp_path / "team.db.damaged").exists()
        gallery.remove("person 2")
        assert not (tmp_path / "team.db.damaged").exists(), "it may have named the person"


def test_the_server_keeps_no_byte_in_its_tables(server: tuple[str, Path]) -> None:
    """Its write-ahead log is the administrator's; everything else is looked through."""
    address, data = server
    theirs = faces_of(77, 3)
    with new_gallery(f"{address}#erasing", policy=keeping_crops()) as gallery:
        gallery.enrol("person 1", faces_of(1), crops=[b"a crop"])
        gallery.enrol(NAME, theirs, crops=[b"a picture of Zacharias"] * 3)
        gallery.store._db.execute("CHECKPOINT")  # type: ignore[attr-defined]
        assert _traces(_tables(data), theirs)
        gallery.remove(NAME)
        gallery.store._db.execute("CHECKPOINT")  # type: ignore[attr-defined]
        assert _traces(_tables(data), theirs) == []
        assert gallery.search(faces_of(1))[0].name == "person 1"


def _tables(data: Path) -> list[Path]:
    return [file for file in (data / "base").rglob("*") if file.is_file()]
