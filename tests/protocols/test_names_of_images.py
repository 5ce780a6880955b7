"""Images are found by key or by a name that fits one of them."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from marginface.errors import InputError
from marginface.protocols.names_of_images import ImageNames, names_of

NAMES = ImageNames(["a/1.jpg", "a/2.jpg", "b/2.jpg", "b/c/3.png"])


@pytest.mark.parametrize(
    "name, place",
    [("a/1.jpg", 0), ("1.jpg", 0), ("1", 0), ("img/a/2.png", 1), ("b/2", 2), ("3.jpg", 3), ("2.jpg", None)],
)
def test_folders_and_extensions_may_differ_but_a_name_must_fit_one_image(name, place):
    assert NAMES.find(name) == place


def test_names_that_are_not_found_are_counted_and_the_first_is_named():
    with pytest.raises(InputError, match=r"list\.txt: 2 of 3 images, first '2\.jpg', .*its first is 'a/1\.jpg'"):
        NAMES.positions(["1.jpg", "2.jpg", "9"], "list.txt")


@given(st.text("ab./_ 1", min_size=1, max_size=12).filter(lambda name: name.strip("/.") and "//" not in name))
def test_names_are_those_of_a_path(key):
    path = PurePosixPath(key)
    assume(str(path) == key and path.name not in ("", ".."))
    assert names_of(key) == (path.name, path.stem, f"{path.parent.name}/{path.stem}")
