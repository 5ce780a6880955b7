"""WebDataset shards give their samples in the order in which they lie, from any pattern; what is wrong is named."""

import io
import json
import pickle
import tarfile

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.records.tar_shards import TarShards
from marginface.records.write import WRITERS
from tests.records.made_up import MadeUp, Stops, assert_same_records


def shard(path, members):
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def numbered(folder, num=3):
    for i in range(num):
        members = {}
        for j in range(2):
            members |= {f"{i}{j}.jpg": b"%d%d" % (i, j), f"{i}{j}.cls": b"%d" % (9 - i)}
        shard(folder / f"a-{i:03d}.tar", members)
    return folder


@pytest.mark.parametrize("pattern", ["a-{000..002}.tar", "a-*.tar", ""])
def test_ranges_wildcards_and_folders_name_the_same_shards(tmp_path, pattern):
    source = TarShards(str(numbered(tmp_path) / pattern))
    assert source.keys == ("00.jpg", "01.jpg", "10.jpg", "11.jpg", "20.jpg", "21.jpg")
    assert source.identities == ("7", "8", "9")
    assert source.labels.tolist() == [2, 2, 1, 1, 0, 0]
    assert [source[i].image for i in range(6)] == [b"00", b"01", b"10", b"11", b"20", b"21"]
    assert pickle.loads(pickle.dumps(source))[3].image == b"11"


def test_json_gives_names_landmarks_and_keys(tmp_path):
    points = [[1.5, 2], [3, 4], [5, 6], [7, 8], [9, 10]]
    path = shard(
        tmp_path / "a.tar",
        {
            "x/1.png": b"one",
            "x/1.json": json.dumps({"identity": "zoë", "label": 0, "landmarks": points}).encode(),
            "x/2.json": json.dumps({"identity": "ada", "label": 1, "key": "second"}).encode(),
            "x/2.seg.png": b"two",
            "notes.txt": b"no sample",
        },
    )
    source = TarShards(path)
    assert source.identities == ("zoë", "ada")
    assert source.keys == ("x/1.png", "second")
    np.testing.assert_array_equal(source[0].landmarks, np.float32(points))
    assert source[1].landmarks is None


def test_shards_that_number_from_the_start_again_get_their_names_into_the_keys(tmp_path):
    for name in ("a", "b"):
        shard(tmp_path / f"{name}.tar", {"0.jpg": name.encode(), "0.cls": b"1"})
    assert TarShards(tmp_path).keys == ("a/0.jpg", "b/0.jpg")


@pytest.mark.parametrize(
    "members, words",
    [
        ({"0.jpg": b"x"}, "0.jpg has no label"),
        ({"0.jpg": b"x", "0.cls": b"ada"}, "0.cls cannot be read as a label"),
        ({"0.jpg": b"x", "0.cls": b"-1"}, "no whole number"),
        ({"0.jpg": b"x", "0.cls": b"9" * 5000}, "0.cls cannot be read"),
        ({"0.jpg": b"x", "0.json": b"{"}, "0.json cannot be read"),
        ({"0.jpg": b"x", "0.json": b"[" * 100_000}, "0.json cannot be read"),
        ({"0.jpg": b"x", "0.json": b"[1]"}, "0.json cannot be read"),
        ({"0.jpg": b"x", "0.json": b'{"identity": "\\ud800"}'}, "0.json cannot be read"),
        ({"0.jpg": b"x", "0.json": b'{"label": 1.5}'}, "no whole number"),
        ({"0.jpg": b"x", "0.json": b'{"label": 1, "landmarks": [1, 2]}'}, "0.json cannot be read"),
        ({"0.jpg": b"x", "0.json": b" " * (1 << 21)}, "too many for a label"),
        ({"0.cls": b"1"}, "there is no image in its 1 shards"),
        (
            {
                "0.jpg": b"x",
                "0.json": b'{"identity": "a", "label": 1}',
                "1.jpg": b"y",
                "1.json": b'{"identity": "a", "label": 2}',
            },
            "'a' has the label 2 at 1.jpg and 1 elsewhere",
        ),
        (
            {
                "0.jpg": b"x",
                "0.json": b'{"identity": "a", "label": 1}',
                "1.jpg": b"y",
                "1.json": b'{"identity": "b", "label": 1}',
            },
            "one label stands for several",
        ),
        (
            {
                "0.jpg": b"x",
                "0.cls": b"1",
                "1.jpg": b"x",
                "1.json": b'{"key": "0.jpg", "label": 1}',
                "2.jpg": b"x",
                "2.json": b'{"key": "0.jpg", "label": 1}',
            },
            "a/0.jpg occurs twice",
        ),
    ],
)
def test_samples_that_cannot_be_used_are_named(tmp_path, members, words):
    with pytest.raises(InputError, match=words):
        TarShards(shard(tmp_path / "a.tar", members))


@pytest.mark.parametrize(
    "pattern, words",
    [
        ("no-*.tar", "there is no"),
        ("a-{2..1}.tar", "ascending"),
        ("a-{0..99999999999999999999}.tar", "a range of 1 to"),
    ],
)
def test_patterns_that_name_nothing_are_refused(tmp_path, pattern, words):
    with pytest.raises(InputError, match=words):
        TarShards(str(tmp_path / pattern))


def test_names_that_would_leave_a_folder_are_only_names(tmp_path):
    path = shard(tmp_path / "a.tar", {"../../etc/x.jpg": b"x", "../../etc/x.cls": b"0"})
    source = TarShards(path)
    assert source.keys == ("../../etc/x.jpg",)
    WRITERS["folder"](source, tmp_path / "out")
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.jpg")] == ["out/0/%2E%2E/%2E%2E/etc/x.jpg"]


def test_written_shards_keep_everything_and_an_interrupted_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("marginface.records.write_webdataset.SHARD_IMAGES", 1)
    points = {i: np.arange(10, dtype=np.float32).reshape(5, 2) + 0.1 for i in range(3)}
    memory = MadeUp([b"0", b"1", b"2"], [1, 0, 1], keys=["k1", "k0", "k2"], identities=["b", "a"], landmarks=points)
    with pytest.raises(InputError, match="stopped"):
        WRITERS["webdataset"](Stops(memory, reads=3 + 2), tmp_path / "out")  # three to know the source by
    assert not (tmp_path / "out").exists()
    again = Stops(memory)
    assert WRITERS["webdataset"](again, tmp_path / "out") == 3
    assert again.read == [0, 1, 2, 2]
    source = TarShards(tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [f"shard-00000{i}.tar" for i in range(3)]
    assert_same_records(source, memory)
    with pytest.raises(InputError, match="exists already"):
        WRITERS["webdataset"](again, tmp_path / "out")
