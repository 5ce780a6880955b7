"""The file of vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.search.vectors import VectorFile
from tests.search.made_up import DIM, faces_of, settings

PERSON = "0123456789abcdef" * 2


def _write(file: VectorFile, slots: list[int], name: str = "Zoë") -> np.ndarray:
    unit = faces_of(1, len(slots)) / 20
    ones = np.ones(len(slots), np.float32)
    file.write(slots, unit, person_id=PERSON, name=name, sequence=7, qualities=2 * ones, norms=3 * ones)
    return unit


def test_what_is_written_is_read_by_another_opening(tmp_path: Path) -> None:
    file = VectorFile.create(tmp_path / "v", made := settings())
    unit = _write(file, [0, 3])
    file.sync()
    again = VectorFile(tmp_path / "v")
    assert again.settings == made
    assert again.num_slots == 4
    assert np.array_equal(again.vectors()[[0, 3]], unit)
    assert again.owner(3) == (PERSON, "Zoë")
    assert again.slots()["quality"].tolist() == [2, 0, 0, 2]
    assert again.filled(np.arange(4)).tolist() == [0, 3]
    assert again.damaged(np.array([0, 3])).tolist() == []


def test_vectors_lie_so_that_a_product_needs_no_copy(tmp_path: Path) -> None:
    file = VectorFile.create(tmp_path / "v", settings())
    _write(file, [0, 1])
    rows = file.vectors()
    assert rows.shape == (2, DIM)
    assert rows.strides[1] == 4
    assert rows.strides[0] % 64 == 0
    assert np.shares_memory(rows, file.slots())


def test_a_map_made_earlier_sees_later_slots(tmp_path: Path) -> None:
    writer = VectorFile.create(tmp_path / "v", settings())
    reader = VectorFile(tmp_path / "v")
    assert len(reader.vectors()) == 0
    unit = _write(writer, [0, 1])
    assert np.array_equal(reader.vectors(), unit)
    writer.erase([0])
    assert not reader.vectors()[0].any()


def test_a_slot_cut_in_two_is_dropped(tmp_path: Path) -> None:
    file = VectorFile.create(tmp_path / "v", settings())
    _write(file, [0, 1])
    whole = (tmp_path / "v").stat().st_size
    with (tmp_path / "v").open("ab") as end:
        end.write(b"half a slot")
    assert file.num_slots == 2
    file.drop_part()
    assert (tmp_path / "v").stat().st_size == whole


@pytest.mark.parametrize("content", [b"", b"something else", b"marginface vectors 1\n{}"])
def test_another_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "v").write_bytes(content)
    with pytest.raises(InputError, match="not a file of vectors"):
        VectorFile(tmp_path / "v")


def test_closing_twice_closes_nothing_of_others(tmp_path: Path) -> None:
    file = VectorFile.create(tmp_path / "v", settings())
    file.close()
    with open(tmp_path / "other", "wb") as other:  # takes the number that has become free
        file.close()
        other.write(b"still open")
    assert (tmp_path / "other").read_bytes() == b"still open"
