"""Tables of the shapes that Hugging Face writes are read row by row; what is damaged or missing is told."""

import json
import multiprocessing
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from marginface.errors import InputError
from marginface.records.parquet import TableImages
from tests.helpers.synthetic import face_jpeg

IMAGES = [face_jpeg(identity=i, image=0, size=16) for i in range(5)]


def table(labels=(2, 0, 2, 1, 0), *, names=None, **columns):
    images = pa.array([{"bytes": image, "path": None} for image in IMAGES])
    metadata = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}} if names else {}
    made = pa.table({"image": images, "label": pa.array(list(labels)), **columns})
    return made.replace_schema_metadata({"huggingface": json.dumps(metadata)})


def save_to_disk(folder, whole, *, num_files=2, **state):
    """Write it as `Dataset.save_to_disk` does."""
    folder.mkdir(parents=True)
    names = [f"data-{i:05d}-of-{num_files:05d}.arrow" for i in range(num_files)]
    bounds = np.linspace(0, len(whole), num_files + 1).astype(int)
    for name, start, end in zip(names, bounds, bounds[1:], strict=False):
        with pa.OSFile(str(folder / name), "wb") as file, pyarrow.ipc.new_stream(file, whole.schema) as stream:
            stream.write_table(whole.slice(start, end - start))
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]} | state))
    return folder


def check(source):
    assert [source[i].image for i in range(5)] == IMAGES
    assert source.labels.tolist() == [2, 0, 2, 1, 0]
    assert source.identities == ("ada", "bo", "cy")
    assert source[-1].identity == "ada"
    assert source.keys == ("0", "1", "2", "3", "4")


NAMES = ["ada", "bo", "cy"]


def test_files_folders_row_groups_and_arrow_folders_hold_the_same(tmp_path):
    whole = table(names=NAMES)
    pq.write_table(whole, tmp_path / "a.parquet", row_group_size=2)
    check(TableImages(tmp_path / "a.parquet"))
    (tmp_path / "d/data").mkdir(parents=True)
    pq.write_table(whole.slice(0, 2), tmp_path / "d/data/train-00000-of-00002.parquet")
    pq.write_table(whole.slice(2), tmp_path / "d/data/train-00001-of-00002.parquet", row_group_size=1)
    check(TableImages(tmp_path / "d"))
    check(TableImages(tmp_path / "d", split="train"))
    check(TableImages(save_to_disk(tmp_path / "s", whole)))
    check(pickle.loads(pickle.dumps(TableImages(tmp_path / "s"))))
    check(pickle.loads(pickle.dumps(TableImages(tmp_path / "a.parquet"))))


def test_labels_may_be_names_or_numbers_with_gaps(tmp_path):
    for labels, identities in (((7, 3, 7, 5, 3), ("3", "5", "7")), (("cy", "ada", "cy", "bo", "ada"), tuple(NAMES))):
        pq.write_table(table(labels), tmp_path / "a.parquet")
        source = TableImages(tmp_path / "a.parquet")
        assert source.labels.tolist() == [2, 0, 2, 1, 0]
        assert source.identities == identities


def test_columns_can_be_named_and_plain_bytes_are_images(tmp_path):
    columns = {"crop": pa.array(IMAGES), "who": pa.array(list("cacba")).dictionary_encode()}
    points = pa.array([list(range(10)), None, [1.0] * 10, [0.0] * 9, None], pa.list_(pa.float32()))
    keys = pa.array([f"k{i}" for i in range(5)])
    pq.write_table(pa.table({**columns, "landmarks": points, "key": keys}), tmp_path / "a.parquet")
    source = TableImages(tmp_path / "a.parquet", image="crop", label="who")
    assert source.identities == ("a", "b", "c")
    assert [source[i].image for i in (0, 1, 2, 4)] == [IMAGES[i] for i in (0, 1, 2, 4)]
    assert source[0].landmarks.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert source[1].landmarks is None
    assert source.keys[4] == "k4"
    with pytest.raises(InputError, match="row 3 has landmarks that are not five points"):
        source[3]
    with pytest.raises(InputError, match=r"which column is the image\? Say \?image=NAME; there are crop, who"):
        TableImages(tmp_path / "a.parquet")
    with pytest.raises(InputError, match="has no column 'whom'; did you mean 'who'"):
        TableImages(tmp_path / "a.parquet", image="crop", label="whom")


def test_splits_of_a_dataset_dict_are_chosen_by_name(tmp_path):
    for split in ("train", "test"):
        save_to_disk(tmp_path / "d" / split, table(names=NAMES))
    (tmp_path / "d/dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    check(TableImages(tmp_path / "d", split="test"))
    with pytest.raises(InputError, match="has the splits train, test; choose one"):
        TableImages(tmp_path / "d")
    with pytest.raises(InputError, match=r"has no split '\.\./x'"):
        TableImages(tmp_path / "d", split="../x")


def test_what_cannot_be_used_is_told(tmp_path):
    cases = {
        "label is null": (table((0, 1, None, 1, 0)), "has 1 empty rows"),
        "label below 0": (table((0, 1, -4, 1, 0)), "has the label -4 in row 2"),
        "label is a fraction": (table((0.5, 1, 2, 1, 0)), "holds double; whole numbers or names"),
        "key twice": (table(key=pa.array(list("aabcd"))), "empty or occur twice"),
        "no rows": (table().slice(0, 0), "has no row"),
    }
    for whole, words in cases.values():
        pq.write_table(whole, tmp_path / "a.parquet")
        with pytest.raises(InputError, match=words):
            TableImages(tmp_path / "a.parquet")
    pq.write_table(table().set_column(0, "image", pa.array([None, "a", "b", "c", "d"])), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"row 0 holds no image \(bytes\)"):
        TableImages(tmp_path / "a.parquet")[0]
    with pytest.raises(InputError, match="does not exist"):
        TableImages(tmp_path / "b.parquet")
    (tmp_path / "e").mkdir()
    with pytest.raises(InputError, match="no parquet file and no state.json"):
        TableImages(tmp_path / "e")
    save_to_disk(tmp_path / "i", table(), _indices_data_files=[{"filename": "indices.arrow"}])
    with pytest.raises(InputError, match="a selection by indices; save it with flatten_indices"):
        TableImages(tmp_path / "i")
    (tmp_path / "i/state.json").write_text('{"_data_files": [{"filename": "../x.arrow"}]}')
    with pytest.raises(InputError, match="not files of its folder"):
        TableImages(tmp_path / "i")


def _read_all(path):
    try:
        source = TableImages(path)
        for i in range(len(source)):
            try:
                source[i]
            except InputError:
                continue
    except InputError:
        return


def _read_damaged(folder, seeds):
    """Damage and read copies; run apart, since what is tested is that no crash ends the process."""
    whole = (folder / "a.parquet").read_bytes()
    arrow = (folder / "s/data-00000-of-00001.arrow").read_bytes()
    for seed in seeds:
        generator = np.random.default_rng(seed)
        data = bytearray(whole if seed % 2 else arrow)
        for _ in range(int(generator.integers(1, 4))):
            data[generator.integers(len(data))] ^= 1 << int(generator.integers(8))
        if seed % 5 == 0:
            data = data[: generator.integers(len(data))]
        if seed % 2:
            (folder / "d.parquet").write_bytes(data)
            _read_all(folder / "d.parquet")
        else:
            (folder / "s/data-00000-of-00001.arrow").write_bytes(data)
            _read_all(folder / "s")


def test_damaged_tables_are_read_or_refused_but_never_crash(tmp_path):
    pq.write_table(table(names=NAMES), tmp_path / "a.parquet")
    save_to_disk(tmp_path / "s", table(names=NAMES), num_files=1)
    process = multiprocessing.get_context("fork").Process(target=_read_damaged, args=(tmp_path, range(200)))
    process.start()
    process.join(60)
    assert process.exitcode == 0
