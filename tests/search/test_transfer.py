"""Galleries carried from place to place."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from marginface.errors import InputError, WorkError
from marginface.search.open_store import create_store
from marginface.search.transfer import export_gallery, import_gallery
from tests.search.made_up import faces_of, hand_over, keeping_crops, new_gallery, open_gallery, settings

Place = Callable[[], str]


def _exported(path: Path, place: str, number: int = 4) -> Path:
    with new_gallery(place) as gallery:
        hand_over(gallery, number)
        export_gallery(gallery, path)
    return path


def test_there_and_back_it_answers_alike(location: Place, tmp_path: Path) -> None:
    place, other = location(), location()
    file = tmp_path / "out.tar"
    with new_gallery(place, policy=keeping_crops()) as gallery:
        for person in range(4):
            gallery.enrol(f"person {person}", faces_of(person, 2), crops=[b"one", b"two"])
        assert export_gallery(gallery, file) == 4
        assert gallery.store.entries()[-1].event == "export"
        expected = [r.candidates for r in gallery.search(faces_of(2, 3), top_k=4)]
    assert [one.refusal for one in import_gallery(file, other)] == [""] * 4
    with open_gallery(other) as gallery:
        got = [r.candidates for r in gallery.search(faces_of(2, 3), top_k=4)]
        assert [[(c.name, pytest.approx(c.score, abs=1e-6)) for c in cs] for cs in got] == [
            [(c.name, c.score) for c in cs] for cs in expected
        ]
        person = gallery.people()[0]
        assert gallery.store.samples(person.person_id).crops == (b"one", b"two")
        assert gallery.audit().problems == ()


def test_an_import_is_all_or_nothing_where_a_name_is_taken(tmp_path: Path) -> None:
    file = _exported(tmp_path / "out.tar", str(tmp_path / "a.db"))
    with new_gallery(tmp_path / "b.db") as gallery:
        gallery.enrol("person 2", faces_of(50))
        with pytest.raises(InputError, match="'person 2' is enrolled in .* already"):
            import_gallery(file, tmp_path / "b.db")
        assert len(gallery) == 1
        gallery.remove("person 2")
        gallery.enrol("Zoe", faces_of(2, 4))
        told = import_gallery(file, tmp_path / "b.db")
        assert [one.duplicate_of for one in told] == [None, None, "Zoe", None]
        assert len(gallery) == 4


def test_people_of_another_model_stay_out(tmp_path: Path) -> None:
    file = _exported(tmp_path / "out.tar", str(tmp_path / "a.db"))
    create_store(tmp_path / "b.db", settings(fingerprint="f" * 16), timeout_seconds=1.0).close()
    with pytest.raises(InputError, match="fingerprint"):
        import_gallery(file, tmp_path / "b.db")


def _forged(file: Path, member: str, content: bytes) -> None:
    with tarfile.open(file) as tar:
        parts = {m.name: tar.extractfile(m).read() for m in tar.getmembers()}  # type: ignore[union-attr]
    with tarfile.open(file, "w") as tar:
        for name, old in (parts | {member: content}).items():
            info = tarfile.TarInfo(name)
            info.size = len(content if name == member else old)
            tar.addfile(info, io.BytesIO(content if name == member else old))


def _npy(array: np.ndarray, **how: bool) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **how)
    return file.getvalue()


@pytest.mark.parametrize(
    ("member", "content"),
    [
        ("gallery.json", b"{}"),
        ("gallery.json", b"not json"),
        ("people.jsonl", json.dumps({"name": "a\x00b", "images": 8}).encode()),
        ("people.jsonl", json.dumps({"name": "a", "images": 7}).encode()),
        ("people.jsonl", b'{"name": "a", "images": 9}\n{"name": "b", "images": -1}'),
        ("vectors.npy", _npy(np.full((8, 32), np.nan, np.float32))),
        ("vectors.npy", _npy(np.ones((8, 32), np.float32))),
        ("vectors.npy", _npy(np.array([{"a": 1}] * 8), allow_pickle=True)),
        ("norms.npy", _npy(np.ones(3, np.float32))),
    ],
)
def test_a_forged_export_is_refused_in_a_sentence(member: str, content: bytes, tmp_path: Path) -> None:
    file = _exported(tmp_path / "out.tar", str(tmp_path / "a.db"))
    _forged(file, member, content)
    with pytest.raises(InputError, match=r"out\.tar"):
        import_gallery(file, tmp_path / "b.db")
    assert not (tmp_path / "b.db").exists()


def test_members_with_paths_are_not_unpacked(tmp_path: Path) -> None:
    file = _exported(tmp_path / "out.tar", str(tmp_path / "a.db"))
    _forged(file, "../../evil", b"x")
    assert len(import_gallery(file, tmp_path / "b.db")) == 4
    assert not list(tmp_path.parent.rglob("evil"))


def test_a_full_disk_leaves_no_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    with new_gallery(tmp_path / "a.db") as gallery:
        hand_over(gallery, 2)
        monkeypatch.setattr(tarfile.TarFile, "addfile", full)
        with pytest.raises(WorkError, match="No space left"):
            export_gallery(gallery, tmp_path / "out.tar")
        assert not list(tmp_path.glob("out*"))
        assert gallery.store.entries()[-1].event == "enrol"
