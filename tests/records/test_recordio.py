"""Packs of mxnet's own layout are read as mxnet reads them, and what is wrong with one is told by key and place."""

import os
import pickle
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marginface.errors import InputError
from marginface.records import recordio_labels
from marginface.records.record import RecordSource
from marginface.records.recordio import RecordIO
from marginface.records.recordio_index import read_index
from tests.helpers.mxnet_packs import MAGIC, header_pack, image_payload, write_pack

PEOPLE = [[b"a0", b"a1"], [], [b"c0", b"c1", b"c2"]]
IMAGES = [b"a0", b"a1", b"c0", b"c1", b"c2"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MARGINFACE_CACHE", str(tmp_path / "cache"))


def test_a_pack_with_identity_records_gives_images_and_labels_of_all_people(tmp_path):
    source = RecordIO(write_pack(tmp_path / "p", header_pack(PEOPLE), prop="3,112,112"))
    assert isinstance(source, RecordSource)
    assert [source[i].image for i in range(len(source))] == IMAGES
    assert source.labels.tolist() == [0, 0, 2, 2, 2]
    assert source.identities == ("0", "1", "2")
    assert source.keys == ("1", "2", "3", "4", "5")
    record = source[-1]
    assert (record.key, record.label, record.identity, record.image) == ("5", 2, "2", b"c2")
    with pytest.raises(IndexError):
        source[5]


def test_a_pack_without_a_header_gives_every_key_and_the_first_of_several_labels(tmp_path):
    payloads = [image_payload(7, b"x"), image_payload([3.0, 1.5], b"y"), image_payload(7, b"")]
    source = RecordIO(write_pack(tmp_path / "p", payloads, keys=[5, 2, 9]))
    assert source.identities == ("3", "7")
    assert source.labels.tolist() == [1, 0, 1]
    assert source.keys == ("5", "2", "9")
    assert [source[i].image for i in range(3)] == [b"x", b"y", b""]
    with_property = RecordIO(write_pack(tmp_path / "q", payloads, prop="10,112,112"))
    assert len(with_property.identities) == 10
    assert with_property.labels.tolist() == [7, 3, 7]


def test_a_folder_the_rec_and_the_idx_name_the_same_pack(tmp_path):
    write_pack(tmp_path / "p", header_pack(PEOPLE), name="faces")
    for path in (tmp_path / "p", tmp_path / "p/faces.rec", tmp_path / "p/faces.idx"):
        assert len(RecordIO(path)) == 5
    write_pack(tmp_path / "p", header_pack(PEOPLE), name="other")
    with pytest.raises(InputError, match="2 .rec files, none of them train.rec"):
        RecordIO(tmp_path / "p")


@given(
    st.lists(
        st.lists(
            st.sampled_from([b"", MAGIC, b"\x0a\x23", b"abc", b"\xd7\xce"]) | st.binary(max_size=9), max_size=6
        ).map(b"".join),
        min_size=1,
        max_size=6,
    ),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_embedded_magics_come_back_wherever_they_lie(tmp_path_factory, images, with_header):
    payloads = header_pack([images]) if with_header else [image_payload(0, image) for image in images]
    source = RecordIO(write_pack(tmp_path_factory.mktemp("p"), payloads))
    assert [source[i].image for i in range(len(source))] == images


def test_magics_in_the_header_of_a_record_do_not_hide_its_label(tmp_path):
    number = struct.unpack("<I", MAGIC)[0]
    payloads = [image_payload(i, b"image", number=number) for i in range(3)]
    source = RecordIO(write_pack(tmp_path / "p", payloads))
    assert source.labels.tolist() == [0, 1, 2]
    assert source[2].image == b"image"


def test_bounds_that_float32_rounds_are_looked_up(tmp_path, monkeypatch, caplog):
    people = [[b"%d" % i] * (1 + i * 7 % 5) for i in range(40)]
    exact = RecordIO(write_pack(tmp_path / "p", header_pack(people))).labels.tolist()
    payloads = header_pack(people)
    num = sum(map(len, people))

    def rounded(key):
        return float(key if key < 16 else np.round(key / 4) * 4)  # as float32 does between 2^25 and 2^26

    payloads[0] = image_payload([rounded(num + 1), rounded(len(payloads))], b"")
    for i in range(num + 1, len(payloads)):
        start, end = np.frombuffer(payloads[i][24:32], "<f4")
        payloads[i] = image_payload([rounded(start), rounded(end)], b"")
    write_pack(tmp_path / "q", payloads)
    monkeypatch.setattr(recordio_labels, "_EXACT", 16)
    monkeypatch.setattr(recordio_labels, "_rounding", lambda key: 0 if key < 16 else 2)
    assert RecordIO(tmp_path / "q").labels.tolist() == exact
    assert not caplog.text


def test_identity_records_that_contradict_the_images_are_not_believed(tmp_path, caplog):
    people = [[b"a"] * 2, [b"b"] * 3]
    source = RecordIO(write_pack(tmp_path / "p", header_pack(people, image_label=lambda person: 1 - person)))
    assert source.labels.tolist() == [1, 1, 0, 0, 0]
    assert "labels are read image by image" in caplog.text


def test_names_come_from_a_list_of_mxnet_beside_the_pack(tmp_path, caplog):
    folder = write_pack(tmp_path / "p", header_pack(PEOPLE))
    keys = ["ada/1.jpg", "ada/2.jpg", "zoë b/1.jpg", "zoë b/2.jpg", "zoë b/3.jpg"]
    (folder / "train.lst").write_text("".join(f"{i + 1}\t0\t{key}\n" for i, key in enumerate(keys)))
    source = RecordIO(folder)
    assert source.keys == tuple(keys)
    assert source.identities == ("ada", "1", "zoë b")
    assert source[2].identity == "zoë b"
    assert RecordIO(folder, names="numbers").keys[0] == "1"
    (folder / "train.lst").write_text("1\t/raid/ada/1.jpg\t0\n" * 5)  # insightface's own lists: aligned, path, label
    assert RecordIO(folder).keys[0] == "1"
    assert "named by their numbers" in caplog.text
    with pytest.raises(InputError, match="names=x is not known"):
        RecordIO(folder, names="x")


def test_pickles_threads_and_forks_read_the_same(tmp_path):
    source = RecordIO(write_pack(tmp_path / "p", header_pack(PEOPLE)))
    assert pickle.loads(pickle.dumps(source))[3].image == b"c1"
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda i: source[i % 5].image, range(200))) == IMAGES * 40


def test_large_indices_and_labels_are_kept_and_made_again_when_the_pack_changes(tmp_path, monkeypatch):
    monkeypatch.setattr("marginface.records.index_cache.WORTH_BYTES", 0)
    folder = write_pack(tmp_path / "p", header_pack(PEOPLE))
    assert RecordIO(folder).labels.tolist() == [0, 0, 2, 2, 2]
    with monkeypatch.context() as patch:
        patch.setattr("marginface.records.recordio_index._parsed", None)
        patch.setattr("marginface.records.recordio.labels_of", None)
        again = RecordIO(folder)
        assert isinstance(again.labels, np.memmap)
        assert [again[i].image for i in range(5)] == IMAGES
    write_pack(tmp_path / "p", header_pack([[b"new"], [b"newer", b"newest"]]))
    assert RecordIO(folder).labels.tolist() == [0, 1, 1]
    for file in (tmp_path / "cache").rglob("*.npy"):
        file.write_bytes(b"damaged")
    assert RecordIO(folder).labels.tolist() == [0, 1, 1]


def _broken(tmp_path, change, *, payloads=None, keys=None):
    folder = write_pack(tmp_path / "p", payloads or header_pack(PEOPLE), keys=keys)
    rec, idx = bytearray((folder / "train.rec").read_bytes()), (folder / "train.idx").read_text()
    rec, idx = change(rec, idx)
    (folder / "train.rec").write_bytes(rec)
    (folder / "train.idx").write_text(idx)
    return folder


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda rec, idx: (rec[:-5], idx), "record 8 at byte .*cut short|cut short"),
        (lambda rec, idx: (rec[: len(rec) // 2], idx), "train.rec is cut short: it has .* bytes, record"),
        (lambda rec, idx: (rec, idx[: len(idx) // 2]), "tells of 9 records, its index lists|line"),
        (lambda rec, idx: (rec, ""), "train.idx is empty"),
        (lambda rec, idx: (rec, "\n" * 500), "train.idx is empty"),
        (lambda rec, idx: (rec, idx.replace("\t40", "\tx40")), "line 2: expected `key offset`"),
        (lambda rec, idx: (rec, idx.replace("\t40", "\t4\t0")), "line 2: expected `key offset`"),
        (lambda rec, idx: (rec, idx.replace("\t40", "\t0")), "line 2: offset 0 does not follow 0"),
        (lambda rec, idx: (rec, idx.replace("\t40", "\t99999999999999999999999")), "cut short|does not follow"),
        (lambda rec, idx: (rec, idx.replace("\t40", "\t44")), "record 1 at byte 44 is damaged: it starts with"),
        (lambda rec, idx: (rec, "x" * 200), "this is no RecordIO index|expected `key offset`"),
        (lambda rec, idx: (rec[:40] + b"\0\0\0\0" + rec[44:], idx), "record 1 at byte 40 is damaged"),
        (lambda rec, idx: (rec[:8] + b"\xff\xff\xff\xff" + rec[12:], idx), "record 0 at byte 0.* claims 4,294,967,295"),
        (lambda rec, idx: (b"", idx), "cut short"),
    ],
)
def test_what_is_damaged_is_told_by_key_and_place(tmp_path, change, words):
    with pytest.raises(InputError, match=words):
        RecordIO(_broken(tmp_path, change))


def test_a_damaged_image_record_is_named_when_it_is_read(tmp_path):
    people = [[b"a%d" % i] * 3 for i in range(100)]
    folder = _broken(tmp_path, lambda rec, idx: (rec, idx), payloads=header_pack(people))
    offsets = [int(line.split()[1]) for line in (folder / "train.idx").read_text().splitlines()]
    rec = bytearray((folder / "train.rec").read_bytes())
    rec[offsets[5] + 4 : offsets[5] + 8] = struct.pack("<I", 2**29 - 1)
    (folder / "train.rec").write_bytes(rec)
    source = RecordIO(folder)
    with pytest.raises(InputError, match=rf"record 5 at byte {offsets[5]} is cut short: 536,870,911 bytes are claimed"):
        source[4]
    assert source[5].image == b"a1"


def test_missing_files_are_told(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        RecordIO(tmp_path / "no.rec")
    with pytest.raises(InputError, match="no .rec file in this folder"):
        RecordIO(tmp_path)
    write_pack(tmp_path / "p", header_pack(PEOPLE))
    os.remove(tmp_path / "p/train.idx")
    with pytest.raises(InputError, match="its index .*train.idx is missing"):
        RecordIO(tmp_path / "p")


@pytest.mark.parametrize("label", [-1.0, 0.5, float("nan"), float("inf"), 2.0**25])
def test_labels_that_are_no_whole_numbers_are_refused_by_key(tmp_path, label):
    folder = write_pack(tmp_path / "p", [image_payload(0, b"a"), image_payload(label, b"b")], keys=[3, 4])
    with pytest.raises(InputError, match="record 4 at byte 36 has the label"):
        RecordIO(folder)


@given(st.integers(0, 2**32), st.integers(1, 4))
@settings(max_examples=120, deadline=None)
def test_flipped_bits_are_read_or_refused_but_never_crash(tmp_path_factory, seed, flips):
    generator = np.random.default_rng(seed)
    folder = write_pack(tmp_path_factory.mktemp("p"), header_pack(PEOPLE), prop="3,112,112")
    for _ in range(flips):
        path = folder / ("train.rec", "train.rec", "train.idx", "property")[generator.integers(4)]
        data = bytearray(path.read_bytes())
        if data:  # else an earlier flip has cut all of it off
            data[generator.integers(len(data))] ^= 1 << int(generator.integers(8))
        path.write_bytes(data[: generator.integers(len(data) + 1)] if generator.integers(8) == 0 else data)
    try:
        source = RecordIO(folder)
    except InputError:
        return
    for i in range(len(source)):
        try:
            source[i]
        except InputError as error:
            assert "record " in str(error)  # noqa: PT017


def test_a_pack_that_shrinks_after_opening_is_refused(tmp_path):
    folder = write_pack(tmp_path / "p", header_pack(PEOPLE))
    source = pickle.loads(pickle.dumps(RecordIO(folder)))
    os.truncate(folder / "train.rec", 60)
    with pytest.raises(InputError, match="changed after it was opened"):
        source[3]


class _Sized:
    """A .rec file of which only the size is looked at."""

    def __init__(self, size):
        self.size, self.where = size, "recordio:made-up.rec"


@given(
    seed=st.integers(0, 2**32 - 1),
    num=st.integers(1, 200),
    first=st.sampled_from([0, 1, 7, 95, 9_990, 10**15 - 3, 2**53]),
    exponent=st.integers(1, 13),
    shuffled=st.booleans(),
    tab=st.sampled_from(["\t", " ", "\t\t"]),
    end=st.sampled_from(["\n", "\r\n"]),
    chunk=st.sampled_from([64, 300, 2**20]),
)
@settings(max_examples=40, deadline=None)
def test_an_index_of_any_widths_is_read_as_python_reads_it(
    seed, num, first, exponent, shuffled, tab, end, chunk, tmp_path_factory
):
    rng = np.random.default_rng(seed)
    keys = (first + (rng.permutation(num) if shuffled else np.arange(num))).tolist()
    offsets = (np.cumsum(rng.integers(1, 10**exponent, num, endpoint=True)) - 1).tolist()
    text = "".join(f"{key}{tab}{offset}{end}" for key, offset in zip(keys, offsets, strict=True))
    path = tmp_path_factory.mktemp("index") / "a.idx"
    path.write_text(text.rstrip() if seed % 2 else text, newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("marginface.records.recordio_index._CHUNK_BYTES", chunk)
        index = read_index(path, _Sized(offsets[-1] + 40))
    assert index.offsets.tolist() == [*offsets, offsets[-1] + 40]
    assert [index.key(i) for i in range(num)] == keys


@pytest.mark.parametrize("bad", ["12x\t34", "12\t3 4", "12", "12\t-7", "12\t34\t5", "\t34", "12:34"])
@pytest.mark.parametrize("line", [1, 2, 3_000, 5_999])
def test_a_line_that_is_no_pair_is_named_wherever_it_stands(tmp_path, bad, line):
    lines = [f"{i}\t{i * 100}" for i in range(6_000)]
    lines[line - 1] = bad
    (tmp_path / "a.idx").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=rf"a\.idx, line {line}: expected `key offset`"):
        read_index(tmp_path / "a.idx", _Sized(10**6))


def test_keys_that_occur_twice_are_refused_however_far_apart_they_are(tmp_path):
    for keys in ([5, 3, 5, 4], [0, 10**12, 7, 10**12]):
        (tmp_path / "a.idx").write_text("".join(f"{key}\t{i * 50}\n" for i, key in enumerate(keys)))
        with pytest.raises(InputError, match="1 keys occur twice"):
            read_index(tmp_path / "a.idx", _Sized(300))
