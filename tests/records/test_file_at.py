"""Bytes at a place of a file, or a sentence that names the file and what was read."""

import os
import pickle

import pytest

from marginface.errors import InputError
from marginface.records.file_at import FileAt


def test_bytes_at_a_place_come_out_also_after_pickling(tmp_path):
    (tmp_path / "a").write_bytes(b"0123456789")
    file = FileAt(tmp_path / "a", where="file a")
    assert (file.size, file.read(3, 4, "x"), file.read(10, 0, "x")) == (10, b"3456", b"")
    assert pickle.loads(pickle.dumps(file)).read(0, 2, "x") == b"01"


@pytest.mark.parametrize("offset, size", [(-1, 2), (0, -1), (8, 3), (2**64, 1), (0, 2**64)])
def test_places_beyond_the_file_are_refused_before_memory_is_taken(tmp_path, offset, size):
    (tmp_path / "a").write_bytes(b"0123456789")
    with pytest.raises(InputError, match="file a: part 7 goes beyond the end of the file"):
        FileAt(tmp_path / "a", where="file a").read(offset, size, "part 7")


def test_missing_changed_and_shrunk_files_are_told_apart(tmp_path):
    with pytest.raises(InputError, match="file a does not exist"):
        FileAt(tmp_path / "a", where="file a")
    (tmp_path / "a").write_bytes(b"0123456789")
    early, late = (FileAt(tmp_path / "a", where="file a") for _ in range(2))
    early.read(0, 1, "x")
    os.truncate(tmp_path / "a", 5)
    with pytest.raises(InputError, match="x is cut short; the file shrank"):
        early.read(4, 3, "x")
    with pytest.raises(InputError, match="changed after it was opened"):
        late.read(0, 1, "x")
