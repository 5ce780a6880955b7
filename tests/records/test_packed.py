"""What is packed comes out as it went in, can be stopped, appended to and thinned out, and knows when it is damaged."""

import contextlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marginface.errors import InputError
from marginface.loading.dataset import FaceDataset
from marginface.records.index_cache import stamp_of
from marginface.records.open import open_records
from marginface.records.packed import PackedRecords
from marginface.records.packed_exclude import exclude_records, include_all
from marginface.records.packed_write import write_packed
from marginface.records.select import subset
from marginface.records.write_tar import write_tar as write_members
from tests.helpers.synthetic import write_faces, write_tar
from tests.records.made_up import MadeUp, assert_same_records

NUM = 40


def made_up(num=NUM, *, seed=0, people=5, prefix=""):
    rng = np.random.default_rng(seed)
    images = [rng.bytes(int(size)) for size in rng.integers(0, 400, num)]
    labels = rng.integers(0, people, num)
    return MadeUp(
        images, labels, keys=[f"{prefix}{i}.jpg" for i in range(num)], identities=[f"p{i}" for i in range(people)]
    )


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_round_trip_keeps_people_labels_keys_bytes_landmarks_and_meta(data, tmp_path_factory):
    people = data.draw(st.lists(st.text(max_size=6), min_size=1, max_size=5, unique=True), label="people, some empty")
    magics = st.sampled_from([b"MFSHARD1", b"MFEND001", b"\xff\xd8\xff", b"\xce\xd7\x23\x0a", b""])
    images = data.draw(st.lists(st.tuples(magics, st.binary(max_size=40)).map(b"".join), max_size=12), label="images")
    labels = [data.draw(st.integers(0, len(people) - 1)) for _ in images]
    keys = data.draw(
        st.lists(st.text(max_size=8), min_size=len(images), max_size=len(images), unique=True), label="keys"
    )
    some = data.draw(st.sets(st.integers(0, 11)), label="with landmarks")
    points = {i: np.full((5, 2), i / 7, np.float32) for i in some}
    meta = {
        i: {"where": keys[i], "n": i} for i in data.draw(st.sets(st.integers(0, 11)), label="meta") if i < len(keys)
    }
    source = MadeUp(images, labels, keys=keys, identities=people, landmarks=points, meta=meta)
    folder = tmp_path_factory.mktemp("packed")
    assert write_packed(source, folder, shard_bytes=data.draw(st.sampled_from([1, 50, 10_000]))) == len(images)
    packed = open_records(f"packed:{folder}?verify=yes")
    assert_same_records(source, packed)
    assert_same_records(source, pickle.loads(pickle.dumps(packed)))


def test_the_bytes_are_those_of_the_page(tmp_path):
    """The layout of docs/data-sets.md, read here with nothing of ours."""
    write_packed(MadeUp([b"abc", b"", b"defgh"], [1, 0, 1], keys=["x", "yé", "z"]), tmp_path)
    data = (tmp_path / "shard-00000.faces").read_bytes()
    assert data[:16] == b"MFSHARD1abcdefgh"
    assert np.frombuffer(data, "<u8", 4, 16).tolist() == [8, 11, 11, 16]
    assert np.frombuffer(data, "<u4", 3, 48).tolist() == [1, 0, 1]
    assert np.frombuffer(data, "<u4", 3, 64).tolist() == [zlib.crc32(b"abc"), 0, zlib.crc32(b"defgh")]
    assert np.frombuffer(data, "<u4", 3, 80).tolist() == [zlib.crc32(k.encode()) for k in ("x", "yé", "z")]
    assert np.frombuffer(data, "<u4", 4, 96).tolist() == [0, 1, 4, 5]
    assert data[112:117] == "xyéz".encode()
    assert len(data) == 120 + 88
    assert (tmp_path / "identities-00000.names").read_bytes().endswith(b"\0\0\0\0person_0person_1")


def test_every_source_packs_and_a_bare_folder_is_told(tmp_path):
    folder = write_faces(tmp_path / "faces", num_identities=3, images_per_identity=2, size=16)
    source = open_records(f"folder:{folder}")
    write_packed(source, tmp_path / "packed")
    packed = open_records(tmp_path / "packed")
    assert isinstance(packed, PackedRecords)
    assert packed.location == f"packed:{tmp_path}/packed"
    assert_same_records(source, packed)
    assert packed.keys[-1] == source.keys[-1]
    assert packed.keys[1:3] == source.keys[1:3]
    with pytest.raises(IndexError):
        packed[6]


def test_a_killed_conversion_goes_on_and_leaves_the_same_bytes(tmp_path):
    tar = write_tar(tmp_path / "a.tar", num_identities=20, images_per_identity=10, size=24)
    write_packed(open_records(tar), tmp_path / "whole", shard_bytes=10_000)
    code = (
        "import os, sys; from marginface.records.open import open_records;"
        "from marginface.records.packed_write import write_packed;"
        "stop = lambda done, total: os._exit(9) if done == int(sys.argv[2]) else None;"
        "write_packed(open_records(sys.argv[1]), sys.argv[3], stop, shard_bytes=10_000)"
    )
    stops = [1, 77, 200]
    for stop in stops:
        died = subprocess.run([sys.executable, "-c", code, tar, str(stop), tmp_path / "killed"], check=False)
        assert died.returncode == 9
        with pytest.raises(InputError, match="is not finished; start the same `marginface data convert` again"):
            open_records(f"packed:{tmp_path}/killed")
    seen = []
    write_packed(open_records(tar), tmp_path / "killed", lambda done, total: seen.append(done), shard_bytes=10_000)
    assert min(seen) > 77  # the shards that were finished are not written again
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")


def test_a_stop_between_any_two_steps_is_made_good(tmp_path, monkeypatch):
    source = made_up()
    write_packed(source, tmp_path / "whole", shard_bytes=2_000)
    steps = 0
    real = os.replace

    class Killed(BaseException):
        pass

    for last in range(12):
        folder = tmp_path / f"stopped_{last}"
        left = [last]

        def replace(a, b, left=left):
            if not left[0]:
                raise Killed
            left[0] -= 1
            real(a, b)

        monkeypatch.setattr(os, "replace", replace)
        try:
            write_packed(source, folder, shard_bytes=2_000)
        except Killed:
            steps += 1
        monkeypatch.setattr(os, "replace", real)
        (folder / ".shard-00001.faces.1.partial").write_bytes(b"left by a killed process")
        write_packed(source, folder, shard_bytes=2_000)
        (folder / ".shard-00001.faces.1.partial").unlink(missing_ok=True)
        assert files_of(folder) == files_of(tmp_path / "whole")
    assert steps == 7  # journal, names, four shards, manifest


def test_another_job_in_the_same_folder_is_refused(tmp_path):
    write_packed(made_up(), tmp_path / "a")
    assert write_packed(made_up(), tmp_path / "a") == NUM  # done already
    with pytest.raises(InputError, match=r"already holds 40 images; add these to them with --append"):
        write_packed(made_up(seed=1, prefix="x"), tmp_path / "a")
    with pytest.raises(InputError, match="no finished set to append to"):
        write_packed(made_up(), tmp_path / "none", append=True)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/ada.jpg").write_bytes(b"x")
    with pytest.raises(InputError, match=r"holds other files, such as ada\.jpg"):
        write_packed(made_up(), tmp_path / "photos")
    write_packed(made_up(), tmp_path / "lost")
    (tmp_path / "lost/packed.json").unlink()
    with pytest.raises(InputError, match="holds shards of nothing that is known, such as shard-00000"):
        write_packed(made_up(seed=2), tmp_path / "lost")
    (tmp_path / "a/packed.json").rename(tmp_path / "a/packed.unfinished.json")
    with pytest.raises(InputError, match="is an unfinished conversion of"):
        write_packed(made_up(), tmp_path / "a")


def test_appending_rewrites_nothing_and_knows_people_by_name(tmp_path):
    first, second = made_up(), made_up(25, seed=3, people=7, prefix="new/")
    write_packed(first, tmp_path, shard_bytes=2_000)
    before = {name: data for name, data in files_of(tmp_path).items() if name != "packed.json"}
    assert write_packed(second, tmp_path, append=True, shard_bytes=2_000) == 65
    after = files_of(tmp_path)
    assert all(after[name] == data for name, data in before.items())
    packed = open_records(tmp_path)
    assert packed.identities == tuple(f"p{i}" for i in range(7))
    assert packed.labels.tolist() == [*first.labels.tolist(), *second.labels.tolist()]
    assert packed[64].image == second.images[24]
    assert packed.keys == first.keys + second.keys
    with pytest.raises(InputError, match="already has 5 of these keys, first 'new/0.jpg'"):
        write_packed(made_up(5, seed=8, prefix="new/"), tmp_path, append=True)


def test_exclusions_need_no_rewriting_and_can_be_taken_back(tmp_path):
    source = made_up()
    write_packed(source, tmp_path)
    shard = stamp_of(tmp_path / "shard-00000.faces")
    gone = [key for key, label in zip(source.keys, source.labels, strict=True) if label == 2]
    assert exclude_records(tmp_path, gone[:3]) == 3
    assert exclude_records(tmp_path, gone) == len(gone)
    assert stamp_of(tmp_path / "shard-00000.faces") == shard
    left = open_records(tmp_path)
    assert left.identities == ("p0", "p1", "p3", "p4")
    assert list(left.keys) == [key for key in source.keys if key not in gone]
    assert left.labels.max() == 3
    assert left[0].image == source[source.keys.index(left.keys[0])].image
    assert len(open_records(f"packed:{tmp_path}?excluded=keep")) == NUM
    (tmp_path / "more.txt").write_text(f"{left.keys[0]}\n")
    assert len(open_records(f"packed:{tmp_path}?exclude={tmp_path}/more.txt")) == NUM - len(gone) - 1
    with pytest.raises(InputError, match=r"1 of these keys, first 'nobody', are not in it"):
        exclude_records(tmp_path, ["nobody"])
    include_all(tmp_path)
    assert len(open_records(tmp_path)) == NUM


def test_changed_bytes_are_found_by_record_and_by_shard(tmp_path):
    write_packed(made_up(), tmp_path)
    with open(tmp_path / "shard-00000.faces", "r+b") as file:
        file.seek(100)
        old = file.read(1)
        file.seek(100)
        file.write(bytes([old[0] ^ 1]))
    packed = open_records(f"packed:{tmp_path}?verify=yes")
    with pytest.raises(InputError, match=r"shard-00000\.faces, 0\.jpg: the bytes of this image changed"):
        packed[0]
    assert "SHA-256" in packed.part_fault(0)
    open_records(tmp_path)[0]  # unless told to, a file on disk is believed


def test_threads_and_processes_read_the_same(tmp_path):
    source = made_up()
    write_packed(source, tmp_path, shard_bytes=1_000)
    packed = open_records(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda i: packed[i % NUM].image, range(400))) == source.images * 10
    assert len(pickle.dumps(packed)) < 4_000  # what is mapped is opened again, not copied


def edit(folder, field, value):
    """Change a field of the first shard in the manifest, and its sums with it."""
    words = json.loads((folder / "packed.json").read_text())
    words["shards"][0][field] = value
    words["num_images"] = sum(shard["num_images"] for shard in words["shards"])
    (folder / "packed.json").write_text(json.dumps(words))


def test_unusable_sets_are_refused_in_words(tmp_path):
    write_packed(made_up(), tmp_path / "good", shard_bytes=4_000)
    cases = {
        "missing": (lambda f: (f / "shard-00001.faces").unlink(), "shard-00001.faces is missing"),
        "cut": (lambda f: os.truncate(f / "shard-00000.faces", 50), r"shard-00000\.faces has 50 bytes instead of"),
        "words": (lambda f: (f / "packed.json").write_text("{"), "packed.json is damaged"),
        "huge": (lambda f: edit(f, "num_images", 2**60), "cannot hold 1152921504606846976 in"),
        "outside": (lambda f: edit(f, "name", "../a"), "is not the name of a file beside it"),
        "later": (lambda f: (f / "packed.json").write_text('{"format": "marginface packed 9"}'), "not a manifest"),
        "none": (lambda f: (f / "packed.json").unlink(), r"there is no packed\.json in it"),
    }
    for name, (harm, words) in cases.items():
        shutil.copytree(tmp_path / "good", tmp_path / name)
        harm(tmp_path / name)
        with pytest.raises(InputError, match=words):
            open_records(f"packed:{tmp_path / name}")
    for option, words in (
        ("verify=maybe", "takes yes or no"),
        ("cache_gb=x", "not a size"),
        ("cache=/x", "read in place"),
    ):
        with pytest.raises(InputError, match=words):
            open_records(f"packed:{tmp_path}/good?{option}")
    with pytest.raises(InputError, match="does not exist or is empty"):
        open_records(f"packed:{tmp_path}/nowhere")


def test_no_bit_flip_anywhere_crashes(tmp_path):
    """Whatever changed: records, or an InputError; `data check` reads the sums that tell which."""
    source = made_up(6)
    source.landmarks = {1: np.ones((5, 2), np.float32)}
    source.meta = {2: {"a": 1}}
    write_packed(source, tmp_path / "good")
    rng = np.random.default_rng(0)
    for name in sorted(os.listdir(tmp_path / "good")):
        data = (tmp_path / "good" / name).read_bytes()
        index_start = 0 if name != "shard-00000.faces" else len(data) - 500
        for place in rng.choice(np.arange(index_start, len(data)), 60).tolist():
            harmed = bytearray(data)
            harmed[place] ^= 1 << int(rng.integers(8))
            shutil.copytree(tmp_path / "good", tmp_path / "bad", dirs_exist_ok=True)
            (tmp_path / "bad" / name).write_bytes(harmed)
            with contextlib.suppress(InputError):
                packed = open_records(f"packed:{tmp_path}/bad")
                for i in range(len(packed)):
                    packed[i]
                assert (np.asarray(packed.labels) < 5).all()


@pytest.mark.slow
def test_converting_100_000_images_survives_being_killed_at_any_moment(tmp_path):
    images = (bytes([i % 251]) * (i % 397) for i in range(100_000))
    members = ((f"person_{i // 50:04d}/{i:06d}.jpg", image) for i, image in enumerate(images))
    write_members(members, tmp_path / "a.tar")
    source = open_records(tmp_path / "a.tar")
    write_packed(source, tmp_path / "whole", shard_bytes=500_000)
    code = (
        "import sys; from marginface.records.open import open_records;"
        "from marginface.records.packed_write import write_packed;"
        "write_packed(open_records(sys.argv[1]), sys.argv[2], shard_bytes=500_000)"
    )
    rng = np.random.default_rng(0)
    counts = []
    for _ in range(12):
        child = subprocess.Popen([sys.executable, "-c", code, tmp_path / "a.tar", tmp_path / "killed"])
        while not (tmp_path / "killed").exists():
            time.sleep(0.02)
        before = len(list((tmp_path / "killed").glob("shard*")))
        while child.poll() is None and len(list((tmp_path / "killed").glob("shard*"))) == before:
            time.sleep(0.005)
        time.sleep(float(rng.uniform(0, 0.3)))
        child.kill()
        child.wait()
        counts.append(len(list((tmp_path / "killed").glob("shard*"))))
        if not (tmp_path / "killed/packed.json").exists():
            with pytest.raises(InputError, match="is not finished"):
                open_records(f"packed:{tmp_path}/killed")
    assert counts == sorted(counts)
    assert len(set(counts)) > 3
    assert write_packed(source, tmp_path / "killed", shard_bytes=500_000) == 100_000
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")
    assert_same_records(
        subset(source, range(0, 100_000, 997)), subset(open_records(tmp_path / "killed"), range(0, 100_000, 997))
    )


def test_a_loader_hands_its_workers_no_array(tmp_path):
    """Whether they are forked or not: what goes to a worker does not grow with the number of images."""
    sizes = []
    for num in (50, 5_000):
        write_packed(made_up(num), tmp_path / str(num))
        packed = open_records(tmp_path / str(num))
        assert packed.labels.max() == 4
        sizes.append(len(pickle.dumps(FaceDataset(packed, size=112, augment=None))))
    assert abs(sizes[1] - sizes[0]) < 50
