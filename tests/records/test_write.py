"""What every writer writes, its reader gives back: bytes, labels, names and order; a target is whole or absent."""

import json
import pickle
import tarfile

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marginface.errors import InputError
from marginface.protocols.pairs import csv_pairs
from marginface.records.image_bytes import encode_png, size_of, suffix_of
from marginface.records.image_folder import ImageFolder
from marginface.records.open import open_records
from marginface.records.record import Record
from marginface.records.select import subset
from marginface.records.write import WRITERS
from tests.helpers.mxnet_packs import MAGIC
from tests.helpers.synthetic import face, face_jpeg, write_faces

COPYING = ("folder", "parquet", "recordio", "tar", "webdataset")


class Memory:
    """A source that is not on disk."""

    location = "memory"

    def __init__(self, identities, rows):
        """`rows` are (label, key, image)."""
        self.identities = tuple(identities)
        self.labels = np.array([label for label, _, _ in rows], np.int64)
        self.keys = tuple(key for _, key, _ in rows)
        self.images = [image for _, _, image in rows]

    def __len__(self):
        return len(self.keys)

    def __getitem__(self, i):
        label = int(self.labels[i])
        return Record(key=self.keys[i], image=self.images[i], label=label, identity=self.identities[label])


def written(scheme, source, folder):
    target = folder / {"tar": "t.tar", "parquet": "p.parquet", "list": "l.txt"}.get(scheme, "d")
    assert WRITERS[scheme](source, target, lambda done, total: None) == len(source)
    return open_records(f"{scheme}:{target}")


NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp"), exclude_characters='/\\:*?"<>|~'),
    min_size=1,
    max_size=8,
).filter(lambda name: not name.startswith(".") and not name.endswith("."))
JPEG_START = b"\xff\xd8\xff"


@st.composite
def sources(draw):
    people = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    labels = draw(st.lists(st.integers(0, len(people) - 1), min_size=1, max_size=8))
    if draw(st.booleans()):
        labels.sort()
    pieces = st.lists(st.sampled_from([MAGIC, b"\x0a", b"abc", b""]) | st.binary(max_size=5), max_size=5).map(b"".join)
    return Memory(
        people, [(label, f"{people[label]}/{i:03d}.jpg", JPEG_START + draw(pieces)) for i, label in enumerate(labels)]
    )


@pytest.mark.parametrize("scheme", COPYING)
@given(source=sources())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_bytes_labels_names_and_order_come_back(scheme, tmp_path_factory, source):
    read = written(scheme, source, tmp_path_factory.mktemp("out"))
    assert [read[i].image for i in range(len(read))] == source.images
    assert list(read.keys) == list(source.keys)
    assert [read[i].identity for i in range(len(read))] == [source[i].identity for i in range(len(source))]
    if scheme == "webdataset":  # tells of nobody who has no image
        _, dense = np.unique(source.labels, return_inverse=True)
        assert read.labels.tolist() == dense.tolist()
    else:
        assert read.labels.tolist() == source.labels.tolist()
        assert len(read.identities) == len(source.identities)


@pytest.mark.parametrize("scheme", COPYING)
def test_every_format_goes_into_every_other_and_back(scheme, tmp_path):
    first = ImageFolder(write_faces(tmp_path / "faces", num_identities=3, images_per_identity=2, size=16))
    middle = written(scheme, first, tmp_path / "a")
    for other in COPYING:
        last = written(other, middle, tmp_path / "b" / other)
        assert [last[i].image for i in range(6)] == [first[i].image for i in range(6)]
        assert last.labels.tolist() == first.labels.tolist()
        assert list(last.identities) == list(first.identities)
        assert list(last.keys) == list(first.keys)


def test_names_that_no_file_can_have_are_written_as_safe_ones_and_their_identities_kept(tmp_path):
    people = ["..", "a/b", "", "con\x00trol", "x" * 300]
    source = Memory(people, [(i, "../../evil", b"%d" % i) for i in range(5)] + [(1, "../../evil", b"again")])
    for scheme in ("folder", "tar"):
        read = written(scheme, source, tmp_path / scheme)
        assert list(read.identities) == people
        assert [read[i].image for i in range(6)] == source.images
        assert len(set(read.keys)) == 6
    assert all(path.is_relative_to(tmp_path / "folder") for path in (tmp_path / "folder").rglob("*.jpg"))
    assert sum(path.is_file() for path in (tmp_path / "folder/d").rglob("*.jpg")) == 6


def test_an_order_file_that_does_not_fit_its_images_is_refused(tmp_path):
    read = written("folder", Memory(["b", "a"], [(0, "b/1.jpg", b"x"), (1, "a/1.jpg", b"y")]), tmp_path)
    assert read.identities == ("b", "a")
    order = tmp_path / "d/.order.json"
    good = order.read_text()
    (tmp_path / "d/a/2.jpg").write_bytes(b"new")
    with pytest.raises(InputError, match="1 images, first a/2.jpg, are either new or gone"):
        ImageFolder(tmp_path / "d")
    (tmp_path / "d/a/2.jpg").unlink()
    words = json.loads(good)
    for change in ({"labels": [0, 2]}, {"labels": [0]}, {"names": ["b/1.jpg"] * 2}, {"identities": 3}, {"format": "x"}):
        order.write_text(json.dumps(words | change))
        with pytest.raises(InputError, match=r"its \.order\.json is damaged"):
            ImageFolder(tmp_path / "d")
    order.unlink()
    assert ImageFolder(tmp_path / "d").identities == ("a", "b")


def test_decoded_images_are_written_without_loss(tmp_path):
    pixels = face(identity=0, image=0, size=24)[:, :20]
    data = encode_png(np.ascontiguousarray(pixels))
    np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB), pixels)
    assert (suffix_of(data), size_of(data)) == (".png", (24, 20))
    read = written("recordio", Memory(["a"], [(0, "k", pixels)]), tmp_path)
    assert read[0].image == data
    assert (tmp_path / "d/property").read_text() == "1,24,20\n"
    assert size_of(face_jpeg(identity=0, image=0, size=40)) == (40, 40)
    assert size_of(b"\xff\xd8\xff\xe0\x00\x00" * 3) is None


def test_a_list_names_files_of_a_folder_or_a_part_of_it_and_copies_nothing(tmp_path):
    faces = ImageFolder(write_faces(tmp_path / "faces", num_identities=3, images_per_identity=2, size=16))
    part = subset(faces, [5, 0, 1])
    read = written("list", part, tmp_path)
    assert [read[i].image for i in range(3)] == [faces[i].image for i in (5, 0, 1)]
    assert (list(read.identities), read.labels.tolist()) == (["person_00", "person_02"], [1, 0, 0])
    source = Memory(["a"], [(0, "k", b"x")])
    with pytest.raises(InputError, match="memory: its images are no files of their own"):
        WRITERS["list"](source, tmp_path / "m.txt", lambda done, total: None)


@pytest.mark.parametrize("scheme", sorted(set(WRITERS) - {"packed"}))
def test_nothing_is_written_over_and_a_failed_run_leaves_nothing_that_looks_whole(scheme, tmp_path):
    class Fails(ImageFolder):
        def __getitem__(self, index):
            if index == 3:
                raise InputError("cannot be read")
            return super().__getitem__(index)

    faces = write_faces(tmp_path / "faces", num_identities=2, images_per_identity=2, size=16)
    target = tmp_path / "out"
    if scheme != "list":
        with pytest.raises(InputError, match="cannot be read"):
            WRITERS[scheme](Fails(faces), target, lambda done, total: None)
    assert not target.exists()
    WRITERS[scheme](ImageFolder(faces), target, lambda done, total: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces", "out"]
    with pytest.raises(InputError, match="out exists already"):
        WRITERS[scheme](ImageFolder(faces), target, lambda done, total: None)


def test_an_interrupted_folder_goes_on_and_strangers_of_an_earlier_run_are_removed(tmp_path):
    partial = tmp_path / ".out.partial/old"
    partial.mkdir(parents=True)
    (partial / "1.jpg").write_bytes(b"of another source")
    source = Memory(["a"], [(0, "a/1.jpg", b"x")])
    WRITERS["folder"](source, tmp_path / "out", lambda done, total: None)
    assert [path.name for path in (tmp_path / "out").rglob("*.jpg")] == ["1.jpg"]
    assert ImageFolder(tmp_path / "out").identities == ("a",)


def test_tars_of_odd_names_are_plain_to_tar(tmp_path):
    source = Memory(["zoë" * 40, "b"], [(0, "k" * 150, b"x"), (1, "ü", b"y")])
    written("tar", source, tmp_path)
    with tarfile.open(tmp_path / "t.tar") as tar:
        assert [member.name for member in tar] == [f"{'zoë' * 40}/{'k' * 150}.jpg", "b/ü.jpg", ".order.json"]


@pytest.mark.parametrize("num_pairs", [2, 11])
def test_a_bin_pack_becomes_a_safe_file_with_the_same_images_and_pairs(tmp_path, num_pairs):
    images = [face_jpeg(identity=i, image=0, size=16) for i in range(2 * num_pairs)]
    marks = [i % 3 > 0 for i in range(num_pairs)]
    (tmp_path / "a.bin").write_bytes(pickle.dumps((images, marks)))
    pack = open_records(tmp_path / "a.bin")
    for scheme in COPYING:
        read = written(scheme, pack, tmp_path / scheme)
        assert [read[i].image for i in range(len(images))] == images
        table = next((tmp_path / scheme).glob("*.pairs.csv"))
        pairs = csv_pairs(table, read.keys)
        assert pairs.mated.tolist() == marks
        assert pairs.left.tolist() == list(range(0, len(images), 2))
        assert pairs.right.tolist() == list(range(1, len(images), 2))
        folds = None if pack.pairs.fold is None else pack.pairs.fold.tolist()
        assert folds is None or [folds.index(fold) for fold in folds] == [
            pairs.fold.tolist().index(fold) for fold in pairs.fold
        ]
