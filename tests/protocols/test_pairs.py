"""Claims about files of pairs: what is read, and what each mistake in them says."""

from __future__ import annotations

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.protocols import Pairs, csv_pairs, lfw_pairs

KEYS = ("Ada_L/Ada_L_0001.jpg", "Ada_L/Ada_L_0002.jpg", "Bo/Bo_0001.jpg", "Bo/Bo_0012.jpg", "Cy/Cy_0003.jpg")
LFW = """2\t1
Ada_L\t1\t2
Ada_L\t1\tBo\t12
Bo\t1\t12
Cy\t3\tBo\t1
"""
CSV = "left,right,mated\nAda_L/Ada_L_0001.jpg,Ada_L/Ada_L_0002.jpg,1\nBo/Bo_0001.jpg,Cy/Cy_0003.jpg,0\n"


def written(tmp_path, text, name="pairs.txt"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def rows(pairs):
    return list(zip(pairs.left.tolist(), pairs.right.tolist(), pairs.mated.tolist(), strict=True))


# -- LFW's format --


def test_lfw_file_gives_pairs_kinds_and_folds_in_its_order(tmp_path):
    pairs = lfw_pairs(written(tmp_path, LFW), KEYS)
    assert rows(pairs) == [(0, 1, True), (0, 3, False), (2, 3, True), (4, 2, False)]
    assert pairs.fold.tolist() == [0, 0, 1, 1]
    assert (len(pairs), pairs.num_mated, pairs.num_non_mated) == (4, 2, 2)
    assert (pairs.left.dtype, pairs.mated.dtype, pairs.fold.dtype) == (np.int64, np.bool_, np.int64)


@pytest.mark.parametrize(
    "rename",
    [
        lambda key: f"lfw/aligned/{key}",
        lambda key: key.replace(".jpg", ".png"),
        lambda key: key.rpartition("/")[2],
        lambda key: key.removesuffix(".jpg"),
    ],
)
def test_prefixes_extensions_and_flat_names_do_not_matter(tmp_path, rename):
    pairs = lfw_pairs(written(tmp_path, LFW), [rename(key) for key in KEYS])
    assert rows(pairs)[1] == (0, 3, False)


def test_a_file_with_one_number_in_its_head_is_one_set_without_folds(tmp_path):
    pairs = lfw_pairs(written(tmp_path, "1\nAda_L 1 2\nAda_L 1 Bo 12\n"), KEYS)
    assert (len(pairs), pairs.fold) == (2, None)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "line 1 must hold"),
        ("left,right,mated\n", "line 1 must hold"),
        ("2\t1\nAda_L\t1\t2\n", "promises 4 pairs, it holds 1"),
        (LFW.replace("Bo\t1\t12", "Bo\t1"), r"line 4: expected `name i j`"),
        (LFW.replace("Bo\t1\t12", "Bo\tone\t12"), r"line 4: expected `name i j`"),
        (LFW.replace("Cy\t3", "Cy\t9"), r"line 5: the image Cy/Cy_0009 is not among the 5 images"),
    ],
)
def test_mistakes_in_an_lfw_file_are_named_with_their_line(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=message) as refusal:
        lfw_pairs(path, KEYS)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize("read", [lfw_pairs, csv_pairs])
def test_a_file_that_is_not_there_or_not_text(tmp_path, read):
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "absent.txt", KEYS)
    (tmp_path / "binary").write_bytes(b"\xff\xd8\xff\xe0" * 10)
    with pytest.raises(InputError, match="not a text file"):
        read(tmp_path / "binary", KEYS)


# -- tables --


def test_a_table_gives_its_pairs_and_no_folds_unless_named(tmp_path):
    pairs = csv_pairs(written(tmp_path, CSV), KEYS)
    assert rows(pairs) == [(0, 1, True), (2, 4, False)]
    assert pairs.fold is None


def test_tabs_column_order_comments_and_words_are_accepted(tmp_path):
    text = (
        "# made by hand\nfold\tmated\tleft\tright\nb\tTrue\tAda_L/Ada_L_0001.jpg\tAda_L/Ada_L_0002.jpg\n\n"
        "a\tno\tBo/Bo_0001.jpg\tCy/Cy_0003.jpg\n"
    )
    pairs = csv_pairs(written(tmp_path, text), KEYS)
    assert rows(pairs) == [(0, 1, True), (2, 4, False)]
    assert pairs.fold.tolist() == [1, 0]


def test_keys_with_commas_may_be_quoted(tmp_path):
    pairs = csv_pairs(written(tmp_path, 'left,right,mated\n"a,1.jpg",b.jpg,0\n'), ["b.jpg", "a,1.jpg"])
    assert rows(pairs) == [(1, 0, False)]


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "line 1: the column 'left' is missing"),
        (CSV.replace("mated", "same"), "line 1: the column 'mated' is missing"),
        (CSV.replace("right,mated", "right,mated,folds"), "no column 'folds'; did you mean 'fold'"),
        (CSV.replace(",0\n", ",maybe\n"), "line 3: mated must be 1 or 0"),
        (CSV.replace(",0\n", "\n"), "line 3: expected 3 values, got 2"),
        (CSV.replace("Bo/Bo_0001", "Bo/Bo_0002"), r"line 3: the image 'Bo/Bo_0002.jpg' .* did you mean 'Bo/Bo_00"),
        ("left,right,mated\n", "no pairs below the header"),
    ],
)
def test_mistakes_in_a_table_are_named_with_their_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        csv_pairs(written(tmp_path, text), KEYS)


def test_columns_of_different_length_are_our_own_fault():
    with pytest.raises(ValueError, match="differ in length"):
        Pairs("x", np.arange(3), np.arange(3), np.zeros(2, bool))
