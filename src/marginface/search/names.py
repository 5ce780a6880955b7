"""Names of people: any script is welcome, nothing that could deceive a reader or a file system's tools is."""

from __future__ import annotations

import unicodedata

from marginface.errors import InputError

MAX_NAME_BYTES = 255
"""In UTF-8; the field beside every stored vector has this room."""

_REFUSED = {"Cc": "a control character", "Cs": "half a surrogate pair", "Zl": "a line break", "Zp": "a paragraph break"}
_JOINERS = "\u200c\u200d"  # zero-width (non-)joiners: Persian, Indic scripts and emoji are written with them


def clean_name(name: str) -> str:
    """Return `name` in Unicode's composed form (NFC), without blanks at its ends.

    A name is only ever bound as a parameter or stored as bytes, never part of SQL or of a path, so quotes, slashes and
    dots are letters like others.

    Raises:
        InputError: an empty or too long name, or one with control characters or invisible marks of direction.
    """
    if not isinstance(name, str):
        raise InputError(f"a name is a text, not {type(name).__name__}.")
    composed = unicodedata.normalize("NFC", name).strip()
    if not composed:
        raise InputError("the name is empty; give the person one.")
    for character in composed:
        category = unicodedata.category(character)
        if category == "Cf" and character not in _JOINERS:
            what = "an invisible formatting character"
        elif category in _REFUSED:
            what = _REFUSED[category]
        else:
            continue
        raise InputError(f"the name {composed!r} has {what} (U+{ord(character):04X}) in it; leave it out.")
    length = len(composed.encode())
    if length > MAX_NAME_BYTES:
        raise InputError(f"the name {composed[:20]!r}... has {length} bytes in UTF-8; {MAX_NAME_BYTES} are the most.")
    return composed
