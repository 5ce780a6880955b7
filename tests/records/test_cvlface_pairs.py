"""CVLface's verification folders give their pairs; a table without marks is a plain one."""

import pickle

import pyarrow as pa
import pytest

from marginface.errors import InputError
from marginface.records.cvlface_pairs import open_cvlface
from marginface.records.image_pairs import PairedImages
from marginface.records.open import open_records
from marginface.records.parquet import TableImages
from tests.records.test_parquet import IMAGES, save_to_disk, table


def verification(folder, marks, index=(0, 1, 2, 3), **columns):
    images = pa.array([{"bytes": image, "path": None} for image in IMAGES[:4]])
    return save_to_disk(folder, pa.table({"image": images, "index": list(index), "is_same": list(marks), **columns}))


def test_pairs_come_in_the_order_of_the_index(tmp_path):
    source = open_records(verification(tmp_path / "lfw", [True, False, False, True], index=[2, 1, 0, 3]))
    assert isinstance(source, PairedImages)
    assert source.pairs.mated.tolist() == [False, True]
    assert [source[i].image for i in range(4)] == [IMAGES[i] for i in (2, 1, 0, 3)]
    assert source.labels.tolist() == [0, 1, 2, 2]
    assert source.keys[3] == "person-00002/00001-right.jpg"
    assert pickle.loads(pickle.dumps(source))[1].image == IMAGES[1]


def test_a_table_without_marks_or_with_a_chosen_label_is_a_plain_one(tmp_path):
    assert isinstance(open_cvlface(save_to_disk(tmp_path / "a", table())), TableImages)
    folder = verification(tmp_path / "b", [1, 1, 0, 0], who=["a", "b", "b", "a"])
    assert open_cvlface(folder, label="who").identities == ("a", "b")
    assert open_records(f"arrow:{folder}?label=who").identities == ("a", "b")


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"marks": [True, True, True, False]}, "the two images of pair 1 disagree"),
        ({"marks": [2, 2, 0, 0]}, "pair 0 is marked 2"),
        ({"marks": ["x", "x", "y", "y"]}, "no list of true and false"),
        ({"marks": [1, 1, 0, 0], "index": [0, 1, 1, 2]}, "does not number the rows"),
        ({"marks": [1, 1, 0, 0], "index": [0, 1, 2, None]}, "does not number the rows"),
    ],
)
def test_marks_that_do_not_fit_are_refused(tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        open_cvlface(verification(tmp_path / "a", **changes))
