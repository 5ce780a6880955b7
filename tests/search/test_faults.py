"""What a gallery in files survives: kill -9 at any moment, a full disk, damaged files, many users at once."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from marginface.errors import InputError, WorkError
from marginface.search.gallery import Gallery
from marginface.search.repair import repair_gallery
from marginface.search.settings import EnrolmentPolicy
from marginface.search.vectors import VectorFile
from tests.search.made_up import faces_of, hand_over, keeping_crops, new_gallery, open_gallery

fork = multiprocessing.get_context("fork")  # the child starts at once, with everything imported


def _in_a_child(work: Callable[[], None]) -> int:
    """Return how a child process ended that did `work`: 0, or minus the signal that killed it."""
    child = fork.Process(target=work)
    child.start()
    child.join()
    assert child.exitcode is not None
    return child.exitcode


def _all_there(gallery: Gallery, images: dict[str, int]) -> None:
    """Check that exactly these people, `person N`, are enrolled with so many images, found, and nothing is amiss."""
    people = {person.name: person.num_images for person in gallery.people()}
    assert people == images
    for name in images:
        assert gallery.search(faces_of(int(name.split()[1]), 2).sum(axis=0))[0].name == name
    assert gallery.audit().problems == ()


class _DiesAt:
    """Kills the process with signal 9 just before its n-th write, sync or statement."""

    def __init__(self, step: int, monkeypatch: pytest.MonkeyPatch, gallery: Gallery) -> None:
        self.left = step
        for name in ("_put", "sync"):
            honest = getattr(VectorFile, name)
            monkeypatch.setattr(VectorFile, name, self._counting(honest))
        gallery.store._db.set_trace_callback(lambda statement: self._count())  # type: ignore[attr-defined]

    def _counting(self, honest: Callable[..., None]) -> Callable[..., None]:
        def call(*given: object) -> None:
            self._count()
            honest(*given)

        return call

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


CHANGES: dict[str, Callable[[Gallery], object]] = {
    "enrol": lambda gallery: gallery.enrol("person 7", faces_of(7, 3)),
    "enrol more": lambda gallery: gallery.enrol("person 1", faces_of(1, 3)),
    "replace": lambda gallery: gallery.enrol("person 1", faces_of(1, 3), replace=True),
    "remove": lambda gallery: gallery.remove("person 1"),
}
BEFORE = {"person 0": 2, "person 1": 2, "person 2": 2}
AFTER = {
    "enrol": BEFORE | {"person 7": 3},
    "enrol more": BEFORE | {"person 1": 5},
    "replace": BEFORE | {"person 1": 3},
    "remove": {"person 0": 2, "person 2": 2},
}


@pytest.mark.parametrize(
    "change",
    ["enrol more", "remove", *(pytest.param(change, marks=pytest.mark.slow) for change in ("enrol", "replace"))],
)
def test_killed_before_any_step_a_change_is_whole_or_absent(change: str, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    with new_gallery(tmp_path / "made" / "team.db") as gallery:
        hand_over(gallery, 3)
    seen = set()
    for step in range(1, 100):
        folder = tmp_path / f"step{step}"
        shutil.copytree(tmp_path / "made", folder)

        def work(folder: Path = folder, step: int = step) -> None:
            gallery = open_gallery(folder / "team.db")
            with pytest.MonkeyPatch.context() as monkeypatch:
                _DiesAt(step, monkeypatch, gallery)
                CHANGES[change](gallery)

        ended = _in_a_child(work)
        with open_gallery(folder / "team.db") as gallery:
            there = {person.name: person.num_images for person in gallery.people()}
            assert there in (BEFORE, AFTER[change])
            seen.add(there == BEFORE)
            _all_there(gallery, there)
            gallery.enrol("person 9", faces_of(9, 2))
            _all_there(gallery, there | {"person 9": 2})
        shutil.rmtree(folder)
        if ended == 0:
            assert there == AFTER[change]
            break
        assert ended == -signal.SIGKILL
    assert seen == {True, False}
    assert step > 10


def test_killed_at_random_moments_it_keeps_everybody_whom_it_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    new_gallery(path).close()
    chance = random.Random(0)
    acknowledged = 0
    for _ in range(5):
        heard, say = os.pipe()

        def work(first: int = acknowledged, say: int = say) -> None:
            gallery = open_gallery(path)
            for person in range(first, first + 200):
                gallery.enrol(f"person {person}", faces_of(person, 2), replace=True)
                os.write(say, b".")

        child = fork.Process(target=work)
        child.start()
        os.read(heard, 1)
        acknowledged += 1
        time.sleep(chance.uniform(0.0, 0.15))
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        os.close(say)
        acknowledged += len(os.read(heard, 10_000))
        os.close(heard)
        with open_gallery(path) as gallery:
            there = [person.name for person in gallery.people()]
            assert set(there) >= {f"person {i}" for i in range(acknowledged)}
            _all_there(gallery, dict.fromkeys(there, 2))
    assert acknowledged > 5


def _enrol_for_ever(gallery: Gallery) -> None:
    for person in range(3, 1000):
        gallery.enrol(f"person {person}", faces_of(person, 2), crops=[bytes(2000)] * 2)


@pytest.mark.parametrize("room", [0, 100, 4_000, 9_000, 30_000])
def test_a_full_disk_is_one_sentence_and_loses_nothing(room: int, tmp_path: Path) -> None:
    """The system refuses files to grow beyond a limit, as it does when a disk or a quota is full."""
    path = tmp_path / "team.db"
    with new_gallery(path, policy=keeping_crops()) as gallery:
        for person in range(3):
            gallery.enrol(f"person {person}", faces_of(person, 2), crops=[b"crop"] * 2)
    largest = max(file.stat().st_size for file in tmp_path.iterdir())

    def work() -> None:
        gallery = open_gallery(path)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest + room, largest + room))
        with pytest.raises(WorkError, match="what was there before is"):
            _enrol_for_ever(gallery)
        acknowledged = {p.name: p.num_images for p in gallery.people()}
        (tmp_path / "people").write_text(repr(acknowledged))
        _all_there(gallery, acknowledged)
        os._exit(0)

    assert _in_a_child(work) == 0
    with open_gallery(path) as gallery:
        _all_there(gallery, eval((tmp_path / "people").read_text()))
        gallery.enrol("person 99", faces_of(99, 2), crops=[b"crop"] * 2)


def test_a_damaged_page_is_one_sentence_and_the_repair_brings_everybody_back(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    with new_gallery(made / "team.db", policy=keeping_crops()) as gallery:
        for person in range(14):
            gallery.enrol(f"person {person}", faces_of(person, 2), crops=[bytes([person]) * 500] * 2)
    people = {f"person {i}": 2 for i in range(14)}
    num_pages = (made / "team.db").stat().st_size // 4096
    rng = np.random.default_rng(0)
    told = []
    for page in range(num_pages):
        folder = tmp_path / f"page{page}"
        shutil.copytree(made, folder)
        path = folder / "team.db"
        with path.open("r+b") as file:
            file.seek(page * 4096)
            file.write(rng.bytes(4096))
        with pytest.raises((WorkError, InputError), match="damaged|not a gallery"), open_gallery(path) as gallery:
            raise AssertionError(gallery.audit().problems)
        report = repair_gallery(path)
        told.append(report.log_goes_on)
        assert (report.num_people, report.num_images, report.damaged_images) == (14, 28, 0)
        with open_gallery(path) as gallery:
            gallery.enrol("person 50", faces_of(50, 2), crops=[b"crop"] * 2)
            (folder / "team.db.damaged").unlink()
            _all_there(gallery, people | {"person 50": 2})
        shutil.rmtree(folder)
    assert any(told), "where the log is whole, it goes on"
    assert not all(told)


def test_a_repair_keeps_the_order_and_the_crops_of_images(tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    with new_gallery(path, policy=keeping_crops()) as gallery:
        gallery.enrol("person 1", faces_of(1, 3), crops=[b"first", b"second", b"third"])
        person = gallery.people()[0]
        before = gallery.store.samples(person.person_id)
        score = gallery.search(faces_of(1))[0].score
        head = gallery.audit().digest
    assert repair_gallery(path).log_goes_on
    with open_gallery(path) as gallery:
        after = gallery.store.samples(person.person_id)
        assert after.crops == before.crops
        assert np.array_equal(after.unit, before.unit)
        assert gallery.search(faces_of(1))[0].score == score
        assert gallery.store.entries()[-1].event == "repair"
        assert gallery.audit(anchor=head).problems == (
            f"{path}.damaged: left by a repair, may name people who were removed; delete it.",
        )


def test_the_database_is_lost_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    with new_gallery(path) as gallery:
        hand_over(gallery, 3)
    path.unlink()
    with pytest.raises(InputError, match="no gallery here"):
        open_gallery(path)
    report = repair_gallery(path)
    assert (report.num_people, report.log_goes_on, report.damaged_database) == (3, False, None)
    with open_gallery(path) as gallery:
        _all_there(gallery, BEFORE)


def test_a_damaged_vector_is_named_and_a_repair_erases_it(tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    with new_gallery(path) as gallery:
        hand_over(gallery, 3)
        size = gallery.store._samples._type.itemsize  # type: ignore[attr-defined]
        with (tmp_path / "team.db.samples").open("r+b") as file:
            file.seek(65536 + 2 * size + 330)
            file.write(b"\xff\xff")
        assert [p for p in gallery.audit().problems if "the vector of 'person 1' in slot 2 is damaged" in p]
    report = repair_gallery(path)
    assert (report.num_people, report.num_images, report.damaged_images) == (3, 5, 1)


def test_files_of_two_galleries_are_not_mixed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with new_gallery(tmp_path / f"{name}.db") as gallery:
            hand_over(gallery, 2)
    shutil.copy(tmp_path / "two.db.samples", tmp_path / "one.db.samples")
    with pytest.raises(InputError, match="another gallery"):
        open_gallery(tmp_path / "one.db")
    (tmp_path / "two.db.samples").unlink()
    with pytest.raises(InputError, match="is missing"):
        open_gallery(tmp_path / "two.db")


def test_a_foreign_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "photos.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE precious (x)")
    before = path.read_bytes()
    with pytest.raises(InputError, match="not a gallery"):
        open_gallery(path)
    assert path.read_bytes() == before


def test_a_reader_finds_everybody_while_a_writer_moves_them(tmp_path: Path) -> None:
    """Slots are erased and used anew all the time; nobody may be missed or taken for another meanwhile."""
    path = tmp_path / "team.db"
    with new_gallery(path, policy=EnrolmentPolicy(duplicate_score=1.0)) as gallery:
        hand_over(gallery, 5)

    def work() -> None:
        writer = open_gallery(path)
        for turn in range(25):
            for person in range(4):
                writer.enrol(f"person {person}", faces_of(person, 1 + turn % 3), replace=True)

    child = fork.Process(target=work)
    child.start()
    queries = np.concatenate([faces_of(person) for person in range(5)])
    searches = 0
    with open_gallery(path) as reader:
        while child.is_alive():
            assert [result.name for result in reader.search(queries)] == [f"person {i}" for i in range(5)]
            searches += 1
    child.join()
    assert child.exitcode == 0
    assert searches > 10


def test_threads_share_a_gallery(tmp_path: Path) -> None:
    with new_gallery(tmp_path / "team.db") as gallery:
        hand_over(gallery, 3)
        seen: set[str | None] = set()

        def search() -> None:
            seen.update(gallery.search(faces_of(1))[0].name for _ in range(30))

        def enrol(first: int) -> None:
            for person in range(first, first + 8):
                gallery.enrol(f"person {person}", faces_of(person, 2))

        threads = [threading.Thread(target=search) for _ in range(2)]
        threads += [threading.Thread(target=enrol, args=(first,)) for first in (10, 20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == {"person 1"}
        assert len(gallery) == 19
        assert gallery.audit().problems == ()


def test_a_clock_that_goes_back_changes_no_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from marginface.search import audit_log

    class Clock(audit_log.datetime):  # type: ignore[misc, name-defined]
        @classmethod
        def now(cls, tz: object = None) -> audit_log.datetime:  # type: ignore[name-defined]
            return audit_log.datetime(1999, 1, 1, tzinfo=audit_log.UTC)  # type: ignore[attr-defined]

    with new_gallery(tmp_path / "team.db") as gallery:
        hand_over(gallery, 2)
        monkeypatch.setattr(audit_log, "datetime", Clock)
        gallery.enrol("person 2", faces_of(2, 2))
        gallery.remove("person 0")
        report = gallery.audit()
        assert report.problems == ()
        assert report.clock_went_back_at == (4,)
        assert [entry.event for entry in gallery.store.entries()] == ["create", "enrol", "enrol", "enrol", "remove"]
    with open_gallery(tmp_path / "team.db") as gallery:
        assert gallery.search(faces_of(2))[0].name == "person 2"


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    with new_gallery(tmp_path / "team.db") as gallery:
        hand_over(gallery, 1)
        assert {file.stat().st_mode & 0o077 for file in tmp_path.iterdir()} == {0}
