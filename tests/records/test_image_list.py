"""Lists in the field's formats, with every mistake named by file and line."""

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.records.image_list import ImageList
from tests.helpers.synthetic import face_jpeg, write_faces, write_list


@pytest.fixture
def faces(tmp_path):
    return write_faces(tmp_path, num_identities=3, images_per_identity=2)


def written(folder, text, name="faces.txt"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


A, B, C = "person_00/0000.jpg", "person_01/0000.jpg", "person_02/0001.jpg"


def test_magface_lists_use_the_third_field(tmp_path):
    source = ImageList(write_list(tmp_path / "train.list", num_identities=3, images_per_identity=2))
    assert source.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert source[3].image == face_jpeg(identity=1, image=1)
    assert source[3].key == "images/person_01/0001.jpg"


@pytest.mark.parametrize(
    "text, name",
    [
        (f"{A} 0 70 0\n{B} 0 3 0\n{C} 0 70 0\n", "a.txt"),
        (f"# a comment\n\n{A} 70\n  {B}   3 \n{C} 070\n", "a.txt"),
        (f"{A}\t70\n{B}\t3\n{C}\t70", "a.lst"),
        (f"path,label\n{A},70\n{B},3\n{C},70\n", "a.csv"),
        (f"label\tpath\tage\n70\t{A}\t30\n3\t{B}\t31\n70\t{C}\t32\n", "a.tsv"),
        (f"\ufeffpath,label\r\n{A},70\r\n{B},3\r\n{C},70\r\n", "a.csv"),
    ],
)
def test_every_form_says_the_same_and_gaps_in_labels_close(faces, text, name):
    source = ImageList(written(faces, text, name))
    assert source.identities == ("3", "70")
    assert source.labels.tolist() == [1, 0, 1]
    assert source.labels.dtype == np.int64
    assert source.keys == (A, B, C)
    assert source[1].identity == "3"


def test_numbers_sort_as_numbers_and_names_as_names(faces):
    assert ImageList(written(faces, f"{A} 10\n{B} 9\n")).identities == ("9", "10")
    assert ImageList(written(faces, f"{A} zoe\n{B} ada\n")).identities == ("ada", "zoe")


def test_tabs_allow_spaces_in_paths_and_names(faces):
    (faces / "my face.jpg").write_bytes(b"x")
    source = ImageList(written(faces, f"my face.jpg\tAda Lovelace\n{A}\tMary S\n"))
    assert source.identities == ("Ada Lovelace", "Mary S")
    assert source.keys[0] == "my face.jpg"


def test_root_is_where_relative_paths_start_and_absolute_ones_stay(faces, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("lists")
    path = written(elsewhere, f"{A} 0\n{faces / B} 1\n")
    with pytest.raises(InputError, match=rf"1 of 2 images are missing under .*, first {A} \(line 1\); give"):
        ImageList(path)
    source = ImageList(path, root=faces)
    assert source[0].image == face_jpeg(identity=0, image=0)
    assert source[1].image == face_jpeg(identity=1, image=0)
    assert source.location == f"list:{path}?root={faces}"


def test_missing_paths_are_counted_and_the_first_three_named(faces):
    lines = [f"{A} 0"] + [f"gone/{i}.jpg 1" for i in range(5)]
    with pytest.raises(InputError) as error:
        ImageList(written(faces, "\n".join(lines)))
    assert "5 of 6 images are missing" in str(error.value)
    assert "gone/0.jpg (line 2), gone/1.jpg (line 3), gone/2.jpg (line 4);" in str(error.value)


@pytest.mark.parametrize(
    "text, words",
    [
        (f"{A} 0 0 0\n{B} 0 -1 0\n", "line 2: label -1 is out of range"),
        (f"{A} 0 0 0\n{B} 0 ada 0\n", "line 2: label 'ada' is not a whole number"),
        (f"{A} 0 0.5 0\n", r"line 1: label '0\.5' is not a whole number"),
        (f"{A} 99999999999999999999\n", "line 1: label 99999999999999999999 is out of range"),
        (f"{A} 0\n{B} -7\n", "line 2: label -7 is out of range"),
        (f"{A}\n", "line 1: 1 fields; expected `path label`"),
        (f"{A} 0\n\n{B} 0 1 0\n", "line 3: expected 2 fields"),
        (f"{A} 0\n{B} 1\n{A} 1\n", f"line 3: {A} is already on line 1"),
        ("", "names no image"),
        ("# only words\n", "names no image"),
    ],
)
def test_mistakes_are_named_by_line(faces, text, words):
    with pytest.raises(InputError, match=words):
        ImageList(written(faces, text))


def test_tables_need_their_header_and_cells(faces):
    with pytest.raises(InputError, match="starts with a header"):
        ImageList(written(faces, f"{A},0\n", "a.csv"))
    with pytest.raises(InputError, match="line 2: the label is empty"):
        ImageList(written(faces, f"path,label\n{A},\n", "a.csv"))
    with pytest.raises(InputError, match="line 3: the path is empty"):
        ImageList(written(faces, f"path,label\n{A},0\n,1\n", "a.csv"))


def test_a_missing_or_binary_list_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        ImageList(tmp_path / "no.txt")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match="cannot be read as UTF-8"):
        ImageList(tmp_path / "b.txt")
