"""Stopped anywhere, by whatever, the same conversion goes on to the same bytes; what is not its own is not believed."""

import contextlib
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marginface.errors import InputError, WorkError
from marginface.records.open import open_records
from marginface.records.unfinished import unfinished
from marginface.records.write import WRITERS
from marginface.records.write_tar import write_tar
from tests.records.made_up import MadeUp, Stops, assert_same_records

TARGETS = ("tar:t.tar", "recordio:r", "webdataset:w", "parquet:p", "parquet:p.parquet", "folder:f")
GROWING = ("tar:t.tar", "recordio:r")


def made_up(num=12, *, seed=0, labels=None):
    """Keys without a suffix, so that names depend on the images; labels that want an order file."""
    rng = np.random.default_rng(seed)
    images = [b"\xff\xd8\xff" + rng.bytes(int(size)) for size in rng.integers(0, 900, num)]
    labels = rng.integers(0, 3, num) if labels is None else labels
    return MadeUp(images, labels, keys=[f"k{num - i}" for i in range(num)], identities=["zoë", "b", "a"])


def write(source, target, folder):
    scheme, _, name = target.partition(":")
    return WRITERS[scheme](source, folder / name, lambda done, total: None)


def files_below(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def partial_of(target, folder):
    return folder / f".{target.partition(':')[2]}.partial"


@pytest.fixture(scope="module", autouse=True)
def _small_steps():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("marginface.records.write_webdataset.SHARD_IMAGES", 4)
        patch.setattr("marginface.records.write_parquet.PART_ROWS", 4)
        patch.setattr("marginface.records.write_parquet.GROUP_ROWS", 3)
        patch.setattr("marginface.records.unfinished._SECONDS", 0)
        patch.setattr("marginface.records.unfinished._REST", 0)
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.mark.parametrize("target", TARGETS)
@given(
    num=st.integers(1, 14),
    stops=st.lists(st.tuples(st.integers(0, 30), st.sampled_from([InputError, KeyboardInterrupt]))),
    ascending=st.booleans(),
    seconds=st.sampled_from([0, 0, 1000]),
)
@settings(max_examples=10, deadline=None)
def test_stopped_anywhere_and_often_the_bytes_are_those_of_an_unbroken_run(
    target, tmp_path_factory, num, stops, ascending, seconds
):
    folder = tmp_path_factory.mktemp("out")
    source = made_up(num, labels=sorted(i % 3 for i in range(num)) if ascending else None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("marginface.records.unfinished._SECONDS", seconds)
        write(source, target, folder / "whole")
        done = False
        for reads, error in stops:
            if not done:
                with contextlib.suppress(InputError, KeyboardInterrupt):
                    write(Stops(source, reads=reads, error=error("stopped")), target, folder / "stopped")
                    done = True
        if not done:
            write(source, target, folder / "stopped")
    assert files_below(folder / "stopped") == files_below(folder / "whole")


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_done_is_not_done_again(target, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("marginface.records.checksum._SAMPLED", 2)
    caplog.set_level(logging.INFO)
    with pytest.raises(InputError, match="stopped"):
        write(Stops(made_up(), reads=2 + 9), target, tmp_path)
    assert list(tmp_path.iterdir()) == [partial_of(target, tmp_path)]
    again = Stops(made_up())
    assert write(again, target, tmp_path) == 12
    assert "going on with what an interrupted run left" in caplog.text
    first = {"recordio": 9, "tar": 9, "folder": 0}.get(target.partition(":")[0], 8)
    assert again.read[2 : 2 + 12 - first] == list(range(first, 12))
    scheme, _, name = target.partition(":")
    read = open_records(f"{scheme}:{tmp_path}/{name}")
    assert [record.image for record in read] == made_up().images
    assert read.labels.tolist() == made_up().labels.tolist()


def test_one_parquet_file_is_as_if_written_in_one_go_and_a_folder_is_as_the_hub_has_it(tmp_path, monkeypatch):
    pq = pytest.importorskip("pyarrow.parquet")
    write(made_up(), "parquet:p", tmp_path)
    names = [path.name for path in sorted((tmp_path / "p/data").iterdir())]
    assert names == [f"train-0000{i}-of-00003.parquet" for i in range(3)]
    for rows in (6, 12):
        monkeypatch.setattr("marginface.records.write_parquet.PART_ROWS", rows)
        write(made_up(), f"parquet:{rows}.parquet", tmp_path)
    assert (tmp_path / "6.parquet").read_bytes() == (tmp_path / "12.parquet").read_bytes()
    one, parts = pq.read_table(tmp_path / "6.parquet"), pq.read_table(tmp_path / "p/data")
    assert one.equals(parts)
    assert one.schema.metadata == parts.schema.metadata
    for name in ("p", "6.parquet"):
        assert_same_records(open_records(tmp_path / name), made_up())


@pytest.mark.parametrize("target", TARGETS)
def test_what_another_source_left_is_removed_with_a_word(target, tmp_path, caplog):
    write(made_up(), target, tmp_path / "whole")
    relabelled, recut = made_up(labels=[0, 1, 2] * 4), made_up()
    recut.images[6] = b"the same keys and labels, another picture"
    others = {"checksum": relabelled, "sample": recut, "num_images": made_up(20)}
    for field, other in others.items():
        folder = tmp_path / field
        with pytest.raises(InputError, match="stopped"):
            write(Stops(other, reads=len(other) + 7), target, folder)
        caplog.clear()
        write(made_up(), target, folder)
        assert "is of made up as it was then, not of this job" in caplog.text
        assert field in caplog.text
        assert "it begins anew" in caplog.text
        assert files_below(folder) == files_below(tmp_path / "whole")


DAMAGED = [b"", b"{", b"[]", b"3", b'{"format": "marginface unfinished 1"}', b"\xff" * 9, b"[" * 100_000]


@pytest.mark.parametrize("target", GROWING)
def test_a_damaged_journal_or_lost_data_is_not_believed(target, tmp_path, caplog):
    write(made_up(), target, tmp_path / "whole")

    def harmed(name, harm, words):
        caplog.clear()
        folder = tmp_path / name
        with pytest.raises(InputError, match="stopped"):
            write(Stops(made_up(), reads=12 + 8), target, folder)
        partial = partial_of(target, folder)
        harm(partial)
        write(made_up(), target, folder)
        assert words in caplog.text
        assert files_below(folder) == files_below(tmp_path / "whole")

    for i, data in enumerate(DAMAGED):
        harmed(f"journal{i}", lambda p, data=data: (p / "journal.json").write_bytes(data), "has a damaged journal")

    def cut(partial):
        for size in range(0, (partial / "journal.json").stat().st_size, 60):
            os.truncate(partial / "journal.json", size)

    harmed("cut", cut, "has a damaged journal")

    def grown(partial):
        return partial / next(iter(json.loads((partial / "journal.json").read_text())["files"]))

    harmed("short", lambda p: os.truncate(grown(p), grown(p).stat().st_size - 1), "has lost the end of")
    harmed("gone", lambda p: grown(p).unlink(), "has lost the end of")
    harmed("zeros", lambda p: grown(p).write_bytes(bytes(grown(p).stat().st_size)), "has lost the end of")
    harmed("longer", lambda p: grown(p).write_bytes(grown(p).read_bytes() + b"of a record that was cut"), "")
    harmed("no journal", lambda p: (p / "journal.json").unlink(), "")


class Killed(BaseException):
    """The process is gone: nothing of ours runs after it."""


@pytest.mark.parametrize("target", TARGETS)
def test_a_power_cut_between_any_two_steps_is_made_good(target, tmp_path, monkeypatch):
    """What was not flushed to the disk by then is lost; names that were given stay."""
    source = made_up(6)
    write(source, target, tmp_path / "whole")
    real = {name: getattr(os, name) for name in ("fsync", "replace", "rename")}
    num_kills = 0
    for last in range(60):
        steps, safe = [last], {}

        def step(name, steps, safe, *paths):
            if not steps[0]:
                raise Killed
            steps[0] -= 1
            real[name](*paths)
            if name == "fsync":
                safe[os.fstat(paths[0]).st_ino] = os.fstat(paths[0]).st_size

        for name in real:
            monkeypatch.setattr(os, name, lambda *p, name=name, steps=steps, safe=safe: step(name, steps, safe, *p))
        folder = tmp_path / str(last)
        try:
            write(source, target, folder)
        except Killed:
            num_kills += 1
            for path in partial_of(target, folder).rglob("*"):
                if path.is_file() and not target.startswith("folder"):  # whose files are compared, not believed
                    os.truncate(path, min(safe.get(path.stat().st_ino, 0), path.stat().st_size))
        for name, function in real.items():
            monkeypatch.setattr(os, name, function)
        if not (folder / target.partition(":")[2]).exists():
            write(source, target, folder)
        assert files_below(folder) == files_below(tmp_path / "whole")
        if num_kills <= last:
            break
    assert num_kills >= 3


@pytest.mark.parametrize("target", TARGETS)
def test_a_full_disk_is_said_and_the_work_goes_on_when_there_is_room(target, tmp_path):
    source = made_up(40)
    write(source, target, tmp_path / "whole")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, hard))
    try:
        with pytest.raises(WorkError, match="could not be written"):
            write(source, target, tmp_path / "full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    write(source, target, tmp_path / "full")
    assert files_below(tmp_path / "full") == files_below(tmp_path / "whole")


def test_two_processes_do_not_write_the_same_target(tmp_path):
    with unfinished(tmp_path / "t", made_up()) as work:
        work.target.write_bytes(b"whole")
        with (
            pytest.raises(InputError, match="another process is writing there"),
            unfinished(tmp_path / "t", made_up()),
        ):
            raise AssertionError
    assert files_below(tmp_path) == {"t": b"whole"}


def test_between_two_entries_of_the_journal_nothing_waits_for_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("marginface.records.unfinished._SECONDS", 1000)
    flushed = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    write(made_up(), "tar:t.tar", tmp_path)
    assert len(flushed) == 1 + 2  # the first journal; the tar and its names at the end


@pytest.mark.slow
def test_converting_100_000_images_survives_being_killed_at_any_moment(tmp_path):
    members = ((f"person_{i // 50:04d}/{i:06d}.jpg", bytes([i % 251]) * (i % 397)) for i in range(100_000))
    write_tar(members, tmp_path / "a.tar")
    code = (
        "import sys; from pathlib import Path; from marginface.records import unfinished, write;"
        "from marginface.records.open import open_records; unfinished._SECONDS = 0.1;"
        "write.WRITERS['recordio'](open_records(sys.argv[1]), Path(sys.argv[2]), lambda done, total: None)"
    )
    words = [sys.executable, "-c", code, tmp_path / "a.tar"]
    subprocess.run([*words, tmp_path / "whole/r"], check=True)
    journal, counts, rng = tmp_path / "killed/.r.partial/journal.json", [0], np.random.default_rng(0)
    for _ in range(5):
        child = subprocess.Popen([*words, tmp_path / "killed/r"])
        while child.poll() is None and (not journal.exists() or json.loads(journal.read_text())["done"] == counts[-1]):
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0, 0.2)))
        child.kill()
        if child.wait() != -signal.SIGKILL:
            break  # it was quicker
        counts.append(json.loads(journal.read_text())["done"])
    assert counts == sorted(set(counts))
    assert len(counts) > 2
    if not (tmp_path / "killed/r").exists():
        subprocess.run([*words, tmp_path / "killed/r"], check=True)
    assert files_below(tmp_path / "killed") == files_below(tmp_path / "whole")
