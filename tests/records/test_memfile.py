"""AdaFace's raw sets come out as the pixels that were put in."""

import json
import pickle

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.records.memfile import MemfilePairs, read_memfile_pairs
from tests.helpers.synthetic import face

FACES = [face(identity=i // 2, image=i % 2, size=16) for i in range(4)]


def write_set(root, *, conf="mem_file.dat.conf", marks=(True, False), **changes):
    """Write it as AdaFace does: normalised, channels first, BGR."""
    folder = root / "lfw/memfile"
    folder.mkdir(parents=True)
    scaled = (np.stack(FACES).astype(np.float32) / 255 - 0.5) / 0.5
    array = scaled[..., ::-1].transpose(0, 3, 1, 2)
    (folder / "mem_file.dat").write_bytes(array.astype(np.float32).tobytes())
    words = {"shape": list(array.shape), "dtype": "float32"} | changes
    (folder / conf).write_text(json.dumps(words))
    np.save(root / "lfw_list.npy", np.array(marks))
    return root / "lfw"


@pytest.mark.parametrize("conf", ["mem_file.dat.conf", "mem_file.conf"])
def test_pixels_and_marks_come_out_as_they_went_in(tmp_path, conf):
    folder = write_set(tmp_path, conf=conf)
    for path in (folder, folder / "memfile", folder / "memfile/mem_file.dat"):
        images, is_mated = read_memfile_pairs(path)
        assert is_mated.tolist() == [True, False]
        for image, expected in zip(images, FACES, strict=True):
            np.testing.assert_array_equal(image, expected)


def test_the_source_has_pairs_and_pickles(tmp_path):
    source = MemfilePairs(write_set(tmp_path))
    assert source.labels.tolist() == [0, 0, 1, 2]
    assert source.pairs.mated.tolist() == [True, False]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(source))[-1].image, FACES[3])


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"shape": [4, 3, 16, 17]}, "its conf tells of 13,056"),
        ({"shape": [2**62, 3, 16, 16]}, "its conf tells of"),
        ({"shape": [4, 16, 16, 3]}, "expected the shape"),
        ({"shape": "abcd"}, "expected the shape"),
        ({"shape": 5}, "damaged"),
        ({"dtype": "object"}, "of object"),
        ({"marks": (True,)}, "4 images do not belong to 1 pairs"),
        ({"marks": (True, 7)}, "pair 1 is marked 7"),
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        read_memfile_pairs(write_set(tmp_path, **changes))


def test_missing_and_damaged_files_are_told(tmp_path):
    with pytest.raises(InputError, match=r"has no memfile/mem_file\.dat"):
        read_memfile_pairs(tmp_path)
    folder = write_set(tmp_path)
    (tmp_path / "lfw_list.npy").write_bytes(b"no numpy")
    with pytest.raises(InputError, match="cannot be read as a list"):
        read_memfile_pairs(folder)
    np.save(tmp_path / "lfw_list.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(InputError, match="cannot be read as a list"):
        read_memfile_pairs(folder)
    (tmp_path / "lfw_list.npy").unlink()
    with pytest.raises(InputError, match="lfw_list.npy, which says which pairs are mated, is missing"):
        read_memfile_pairs(folder)
    np.save(tmp_path / "lfw_list.npy", np.array([True, False]))
    (folder / "memfile/mem_file.dat.conf").write_text("{")
    with pytest.raises(InputError, match="is damaged: expected JSON"):
        read_memfile_pairs(folder)


def test_values_outside_the_range_are_refused_by_number(tmp_path):
    folder = write_set(tmp_path)
    data = np.fromfile(folder / "memfile/mem_file.dat", np.float32)
    data[800], data[1700] = np.nan, 9
    data.tofile(folder / "memfile/mem_file.dat")
    images, _ = read_memfile_pairs(folder)
    for number in (1, 2):
        with pytest.raises(InputError, match=f"image {number} has values outside"):
            images[number]
