"""A packed set behind a URL reads as the one on disk, fetches little, and stays within its cache."""

import multiprocessing
import pickle
import uuid

import numpy as np
import pytest

from marginface.errors import InputError, WorkError
from marginface.records.open import open_records
from marginface.records.packed_exclude import exclude_records
from marginface.records.packed_write import write_packed
from marginface.records.remote_store import RemoteFolder
from tests.records.made_up import MadeUp, assert_same_records

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def source():
    rng = np.random.default_rng(0)
    images = [rng.bytes(int(size)) for size in rng.integers(0, 40_000, 60)]
    return MadeUp(images, rng.integers(0, 6, 60), identities=[f"p{i}" for i in range(6)])


@pytest.fixture
def url(monkeypatch, tmp_path):
    monkeypatch.setenv("MARGINFACE_HOME", str(tmp_path / "home"))
    return f"memory://bucket-{uuid.uuid4().hex}/faces"


def test_it_is_written_resumed_and_read_like_a_folder(source, url, tmp_path):
    def stop(done, total):
        if done == 45:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_packed(source, url, stop, shard_bytes=300_000)
    with pytest.raises(InputError, match="is not finished"):
        open_records(f"packed:{url}")
    write_packed(source, url, shard_bytes=300_000)
    write_packed(source, tmp_path / "local", shard_bytes=300_000)
    files = fsspec.filesystem("memory")
    root = url.removeprefix("memory:/")
    there = {path.rsplit("/", 1)[-1]: files.cat_file(path) for path in files.ls(root, detail=False)}
    assert there == {path.name: path.read_bytes() for path in (tmp_path / "local").iterdir()}
    remote = open_records(f"packed:{url}?cache={tmp_path}/cache")
    assert remote.location == f"packed:{url}"
    assert_same_records(source, remote)
    assert_same_records(source, pickle.loads(pickle.dumps(remote)))


def test_the_second_epoch_fetches_nothing_and_a_small_cache_is_never_exceeded(source, url, tmp_path, monkeypatch):
    write_packed(source, url)
    fetched = []
    real = RemoteFolder.fetch
    monkeypatch.setattr(RemoteFolder, "fetch", lambda self, *args: fetched.append(args) or real(self, *args))
    monkeypatch.setattr("marginface.records.remote_store.BLOCK_BYTES", 10_000)
    for _ in range(2):
        records = open_records(f"packed:{url}?cache={tmp_path}/large")
        assert [records[i].image for i in range(60)] == source.images
    blocks = [args for args in fetched if "shard" in args[0]]
    assert len(blocks) == len(set(blocks))
    small = open_records(f"packed:{url}?cache={tmp_path}/small&cache_gb=0.00006")
    for i in np.random.default_rng(0).integers(0, 60, 50).tolist():
        assert small[i].image == source.images[i]
        held = sum(
            path.stat().st_size for path in (tmp_path / "small").iterdir() if path.suffix in (".block", ".index")
        )
        assert held <= 60_000


def _image_in_a_child(records, index):
    return records[index].image


def test_forked_processes_reach_it_by_themselves(source, url, tmp_path):
    write_packed(source, url)
    records = open_records(f"packed:{url}?cache={tmp_path}/cache")
    assert records[0].image == source.images[0]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.starmap(_image_in_a_child, [(records, i) for i in range(60)]) == source.images


def test_changed_bytes_are_always_found(source, url, tmp_path):
    write_packed(source, url)
    files = fsspec.filesystem("memory")
    name = f"{url.removeprefix('memory:/')}/shard-00000.faces"
    data = bytearray(files.cat_file(name))
    data[40_000] ^= 1
    files.pipe_file(name, bytes(data))
    records = open_records(f"packed:{url}?cache={tmp_path}/cache")
    with pytest.raises(InputError, match="CRC-32 does not fit"):
        [records[i] for i in range(60)]
    assert "SHA-256" in records.part_fault(0)


def test_exclusions_work_there_too(source, url):
    write_packed(source, url)
    exclude_records(url, ["0003.jpg"])
    assert len(open_records(f"packed:{url}")) == 59


def test_what_cannot_be_reached_is_said(source, url, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="does not exist or is empty"):
        open_records(f"packed:{url}")
    with pytest.raises(InputError, match="cannot be opened"):
        open_records("packed:nosuchkind://bucket/x")
    write_packed(source, url)
    records = open_records(f"packed:{url}?cache={tmp_path}/cache")
    monkeypatch.setattr(type(fsspec.filesystem("memory")), "cat_file", lambda *args, **rest: 1 / 0)
    with pytest.raises(WorkError, match="could not be read"):
        records[0]
