"""Kept arrays come back mapped while their stamp holds, and are made again when anything about them is wrong."""

import numpy as np
import pytest

from marginface.records import index_cache
from marginface.records.index_cache import cache_folder, cached


@pytest.fixture(autouse=True)
def _keeps_all(tmp_path, monkeypatch):
    monkeypatch.setenv("MARGINFACE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(index_cache, "WORTH_BYTES", 0)


class Makes:
    def __init__(self):
        self.count = 0

    def __call__(self):
        self.count += 1
        return {"a": np.arange(5) + self.count, "b": np.zeros((2, 0), np.uint8)}


def test_arrays_are_made_once_a_stamp_and_replaced_by_those_of_another():
    make = Makes()
    for stamp, count, first in (("one", 1, 1), ("one", 1, 1), ("two", 2, 2), ("two", 2, 2), ("one", 3, 3)):
        arrays = cached("k", "/x", stamp, make)
        assert (make.count, arrays["a"][0], arrays["b"].shape) == (count, first, (2, 0))
        assert isinstance(arrays["a"], np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            arrays["a"][0] = 9
    assert len(list(cache_folder().iterdir())) == 1
    cached("other", "/x", "one", make)
    assert len(list(cache_folder().iterdir())) == 2


def test_what_does_not_hold_or_must_not_be_kept_is_made_again():
    make = Makes()
    cached("k", "/x", "", make, may_keep=lambda arrays: False)
    assert not cache_folder().exists()
    cached("k", "/x", "", make)
    cached("k", "/x", "", make, holds=lambda arrays: False)
    assert make.count == 3


@pytest.mark.parametrize("name", ["a.npy", "b.npy", "about.json"])
@pytest.mark.parametrize("damage", [b"", b"damaged", None])
def test_a_damaged_entry_is_made_again(name, damage):
    make = Makes()
    cached("k", "/x", "", make)
    path = next(cache_folder().iterdir()) / name
    path.unlink() if damage is None else path.write_bytes(damage)
    cached("k", "/x", "", make)
    assert make.count == 2
    cached("k", "/x", "", make)
    assert make.count == 2


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("MARGINFACE_CACHE", str(tmp_path / "file"))
    make = Makes()
    assert cached("k", "/x", "", make)["a"][0] == 1
    assert cached("k", "/x", "", make)["a"][0] == 2
