"""Plain data comes out of a pickle exactly as Python's own reader gives it; nothing else comes, and nothing is run."""

import contextlib
import io
import os
import pickle
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from marginface.errors import InputError
from marginface.records.pairs_bin import read_pairs_bin
from marginface.records.restricted_pickle import load_restricted

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.binary()
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.tuples(inner, inner, inner, inner),
    max_leaves=30,
)


@given(PLAIN, st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_plain_data_comes_out_as_it_went_in(data, protocol):
    assert load_restricted(pickle.dumps(data, protocol), name="a") == data


@given(
    arrays.arrays(st.sampled_from(["u1", "<i4", ">f4", "f8", "?"]), arrays.array_shapes(min_dims=0, min_side=0)),
    st.integers(0, 5),
)
@settings(max_examples=30, deadline=None)
def test_arrays_come_out_as_they_went_in(array, protocol):
    for given_ in (array, np.asfortranarray(array)):
        read = load_restricted(pickle.dumps([given_, given_], protocol), name="a")
        assert read[1] is read[0]
        assert read[0].dtype == array.dtype
        np.testing.assert_array_equal(read[0], array)


def test_texts_of_python_2_come_out_as_bytes():
    two = b"\x80\x02]q\x01(U\x03\xff\xd8\x00q\x02T\x04\x00\x00\x00abcdS'x\\n\\x00'\nI01\nI00\nL7L\ne."
    assert load_restricted(two, name="a") == [b"\xff\xd8\x00", b"abcd", b"x\n\x00", True, False, 7]
    old_names = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntU\x01btR(I1\n(I3\ntcnumpy\ndtype\n"
    old_array = old_names + b"(U\x02u1I0\nI1\ntR(I3\nU\x01|NNNI-1\nI-1\nI0\ntbI00\nU\x03\x01\x02\x03tb."
    assert load_restricted(old_array, name="a").tolist() == [1, 2, 3]


class _Runs:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "wanted, words",
    [
        (_Runs(os.system, "touch /tmp/never"), r"wants (posix|nt)\.system"),
        (_Runs(eval, "1"), r"wants (builtins|__builtin__)\.eval"),
        (_Runs(np.load, "a.npy"), r"wants numpy\.\w+"),
        (_Runs(bytes, 10**12), "damaged"),
        (Exception("x"), r"wants \w+\.Exception"),
        (np.array([object()]), "wants an array of 'O8'"),
        (np.zeros(2, dtype="u1,f4"), "wants an array"),
        ({"a": 1}, "wants a dict"),
        ({1, 2}, r"wants (a set|\w+\.set)"),
        (2**70, "more than 64 bits"),
        (io.BytesIO, r"wants _?io\.BytesIO"),
    ],
)
def test_whatever_is_not_plain_is_refused_by_its_name(wanted, words, protocol):
    with pytest.raises(InputError, match=words) as refused:
        load_restricted(pickle.dumps([b"image", wanted], protocol), name="evil.bin")
    assert str(refused.value).startswith("evil.bin: ")


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b".",
        b"(.",
        b"\x80\x04B\xff\xff\xff\xffabc.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
        b"\x80\x04\x8b\xff\xff\xff\x7f.",
        b"\x80\x02]r\xff\xff\xff\xff.",
        b"\x80\x02]j\xff\xff\xff\xff.",
        b"(" * 1000,
        b"\x80\x02]]\x86R.",
        b"\x80\x02cnumpy\nndarray\n.",
        b"\x80\x02]q\x00h\x00R.",
        b"I" + b"9" * 5000 + b"\n.",
        b"\x80\x02}]K\x01s.",
    ],
)
def test_malformed_programs_end_in_words_and_take_no_memory(hostile):
    tracemalloc.start()
    if hostile == b"\x80\x02]r\xff\xff\xff\xff.":
        assert load_restricted(hostile, name="a") == []
    else:
        with pytest.raises(InputError, match="^a: "):
            load_restricted(hostile, name="a")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_a_program_without_an_end_is_stopped(monkeypatch):
    monkeypatch.setattr("marginface.records.restricted_pickle.MAX_STEPS", 100)
    with pytest.raises(InputError, match="more than 100 steps"):
        load_restricted(b"]" * 200, name="a")


@given(st.integers(0, 2**32), st.integers(1, 3))
@settings(max_examples=100, deadline=None)
def test_flipped_and_cut_packs_are_read_or_refused_but_never_crash(seed, flips):
    generator = np.random.default_rng(seed)
    whole = bytearray(pickle.dumps(([b"abc" * 9, np.arange(9, dtype=np.uint8)], [True]), seed % 6))
    for _ in range(flips):
        whole[generator.integers(len(whole))] ^= 1 << int(generator.integers(8))
    data = bytes(whole[: generator.integers(len(whole) + 1)]) if seed % 2 else bytes(whole)
    with contextlib.suppress(InputError):
        load_restricted(data, name="a")


def test_values_that_double_at_every_step_are_not_printed_or_compared(tmp_path):
    doubled = b"]" + b"".join(b"\x94h%c\x86" % i for i in range(200))
    for hostile in (
        doubled + b".",
        b"c_codecs\nencode\nX\x01\0\0\0a" + doubled + b"\x86R.",
        b"cnumpy\ndtype\n" + doubled + b"R.",
    ):
        with contextlib.suppress(InputError):
            load_restricted(hostile, name="a")
    (tmp_path / "a.bin").write_bytes(b"](C\x01aC\x01be]" + doubled + b"a\x86.")
    with pytest.raises(InputError, match="pair 0 is marked with a tuple"):
        read_pairs_bin(tmp_path / "a.bin")


def test_a_huge_shape_is_no_huge_array():
    data = pickle.dumps(np.zeros(3, np.uint8), 2).replace(b"K\x03\x85", b"J" + struct.pack("<i", 2**31 - 1) + b"\x85")
    with pytest.raises(InputError, match="damaged"):
        load_restricted(data, name="a")
