"""Names of people."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marginface.errors import InputError
from marginface.search.names import MAX_NAME_BYTES, clean_name

HARMLESS = [
    "Robert'); DROP TABLE people;--",
    "../../etc/passwd",
    "C:\\temp\\x",
    "%s {name} $HOME `id`",
    "Zoë Ångström",
    "毛笔 字",
    "محمد",
    "نرگس می‌خواهم",
    "👩‍👧‍👦",
    "a" * MAX_NAME_BYTES,
]


@pytest.mark.parametrize("name", HARMLESS)
def test_any_script_and_any_mark_is_a_name(name: str) -> None:
    assert clean_name(name) == unicodedata.normalize("NFC", name)


def test_two_ways_to_write_a_letter_are_one_name() -> None:
    assert clean_name("Zoe\u0308") == clean_name("Zo\u00eb") == "Zo\u00eb"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "  ",
        "a\x00b",
        "line\nbreak",
        "a\u202egnp.jpg",
        "\ud800",
        "\u2028",
        "tab\tinside",
        "a" * (MAX_NAME_BYTES + 1),
        7,
    ],
)
def test_what_deceives_is_refused(name: str) -> None:
    with pytest.raises(InputError):
        clean_name(name)


@given(st.text(max_size=60))
def test_a_clean_name_stays_as_it_is(text: str) -> None:
    try:
        name = clean_name(text)
    except InputError:
        return
    assert clean_name(name) == name
    assert not any(unicodedata.category(c) == "Cc" for c in name)
