"""Names in arrays are the names that went in, whatever bytes they hold."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marginface.records import name_arrays as module
from marginface.records.name_arrays import ArrayNames, name_arrays

FILE_NAMES = st.binary(max_size=12).map(lambda stored: stored.decode("utf-8", "surrogateescape"))


@given(st.lists(FILE_NAMES, max_size=20))
def test_names_come_back_by_number_and_in_order(names):
    read = ArrayNames(*name_arrays(names))
    assert len(read) == len(names)
    assert list(read) == [read[i] for i in range(len(read))] == names
    assert read[-3:] == tuple(names[-3:])
    assert pickle.loads(pickle.dumps(read)) == names


def test_iteration_goes_on_over_chunks(monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 3)
    names = [f"name {i}" for i in range(10)]
    ends, text = name_arrays(names)
    assert list(ArrayNames(ends, text)) == names
    assert ends.dtype == np.int64
    with pytest.raises(IndexError):
        ArrayNames(ends, text)[10]
