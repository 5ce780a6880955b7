"""A .bin pack gives its images, its pairs and their folds, from any writer; what is no pack is refused."""

import pickle

import numpy as np
import pytest
from sklearn.model_selection import KFold

from marginface.errors import InputError
from marginface.records.image_pairs import pair_positions
from marginface.records.pairs_bin import PairsBin, read_pairs_bin
from tests.helpers.synthetic import face_jpeg

IMAGES = [face_jpeg(identity=i // 2, image=i % 2, size=16) for i in range(6)]


def pack(path, images, marks, protocol=3):
    path.write_bytes(pickle.dumps((images, marks), protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "as_stored",
    [bytes, lambda b: np.frombuffer(b, np.uint8), lambda b: np.frombuffer(b, np.uint8)[:, None].copy()],
    ids=["bytes", "array", "column"],
)
def test_images_and_marks_come_out_of_every_protocol(tmp_path, protocol, as_stored):
    path = pack(tmp_path / "a.bin", [as_stored(image) for image in IMAGES], [True, False, True], protocol)
    images, is_mated = read_pairs_bin(path)
    assert images == IMAGES
    assert is_mated.tolist() == [True, False, True]


def test_marks_may_be_numbers_or_arrays(tmp_path):
    for marks in ([1, 0, 1], (True, False, True), np.array([True, False, True]), np.array([1, 0, 1])):
        assert read_pairs_bin(pack(tmp_path / "a.bin", IMAGES, marks))[1].tolist() == [True, False, True]


def test_the_source_knows_what_the_pack_implies_about_people(tmp_path):
    images = [*IMAGES, IMAGES[0], IMAGES[5]]
    source = PairsBin(pack(tmp_path / "a.bin", images, [True, False, True, False]))
    assert len(source) == 8
    assert source.labels.tolist() == [0, 0, 1, 2, 3, 3, 0, 3]
    assert source.keys[2] == "person-00001/00001-left.jpg"
    assert len(set(source.keys)) == 8
    record = source[7]
    assert (record.image, record.identity) == (IMAGES[5], "person-00003")
    assert source.pairs.left.tolist() == [0, 2, 4, 6]
    assert source.pairs.right.tolist() == [1, 3, 5, 7]
    assert source.pairs.fold is None
    assert pickle.loads(pickle.dumps(source))[7].image == IMAGES[5]


@pytest.mark.parametrize("num_pairs", [10, 17, 600, 7003])
def test_folds_are_those_of_scikit_learn(num_pairs):
    fold = pair_positions(np.zeros(num_pairs, np.bool_)).fold
    for number, (_, test) in enumerate(KFold(10).split(np.zeros(num_pairs))):
        assert np.flatnonzero(fold == number).tolist() == test.tolist()


@pytest.mark.parametrize(
    "content, words",
    [
        (([], []), "holds no pair"),
        ((IMAGES, [True]), "6 images do not belong to 1 pairs"),
        ((IMAGES[:1], [True]), "1 images do not belong"),
        ((IMAGES, [True, "yes", False]), "pair 1 is marked with a str"),
        ((IMAGES, [True, 2, False]), "pair 1 is marked 2"),
        (([*IMAGES[:5], "text"], [True] * 3), "image 5 is a str; expected an encoded image"),
        (([*IMAGES[:5], np.zeros((4, 4, 3), np.uint8)], [True] * 3), r"image 5 is an array \(4, 4, 3\) uint8"),
        ([1, 2, 3], "is no verification pack"),
        ((5, 6), "is no verification pack"),
        ({"a": 1}, "wants a dict"),
    ],
)
def test_what_is_no_pack_is_refused_in_words(tmp_path, content, words):
    (tmp_path / "a.bin").write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=words) as refused:
        read_pairs_bin(tmp_path / "a.bin")
    assert str(refused.value).startswith(f"bin:{tmp_path}/a.bin")


def test_files_that_are_not_there_or_cut_short_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_pairs_bin(tmp_path / "a.bin")
    with pytest.raises(InputError, match="cannot be read"):
        read_pairs_bin(tmp_path)
    whole = pack(tmp_path / "a.bin", IMAGES, [True] * 3).read_bytes()
    for length in range(0, len(whole), 501):
        (tmp_path / "a.bin").write_bytes(whole[:length])
        with pytest.raises(InputError, match="damaged at byte"):
            read_pairs_bin(tmp_path / "a.bin")


def test_one_array_named_often_is_copied_once(tmp_path):
    array = np.zeros(2**20, np.uint8)
    images, _ = read_pairs_bin(pack(tmp_path / "a.bin", [array] * 2000, [True] * 1000))
    assert len({id(image) for image in images}) == 1
