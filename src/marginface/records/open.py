"""`open_records("tar:faces.tar")`: from what a person types to a source of records."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from marginface.errors import InputError, one_of
from marginface.records.image_folder import ImageFolder
from marginface.records.image_list import ImageList
from marginface.records.packed import open_packed
from marginface.records.packed_format import MANIFEST
from marginface.records.record import RecordSource
from marginface.records.select import except_listed, only_listed
from marginface.records.tar_images import TarImages

SCHEMES: dict[str, tuple[Callable[..., RecordSource], tuple[str, ...]]] = {
    "folder": (ImageFolder, ()),
    "list": (ImageList, ("root",)),
    "tar": (TarImages, ("root",)),
    "packed": (open_packed, ("verify", "excluded", "cache", "cache_gb")),
}
"""What opens each scheme, and the options it takes."""

_SCHEME_OF_SUFFIX = {".tar": "tar", ".txt": "list", ".lst": "list", ".list": "list", ".csv": "list", ".tsv": "list"}


def open_records(spec: str | Path) -> RecordSource:
    """Return the records that `spec` names.

    The grammar is `scheme:path?option=value&option=value`:

        folder:DIR                  DIR/<identity>/<image>
        list:FILE[?root=DIR]        `path 0 label 0`, `path label`, or a CSV/TSV table; relative paths start at root
        tar:FILE[?root=FOLDER]      members named <identity>/<image>, below FOLDER of the tar
        packed:DIR or URL[?...]     what `marginface data convert` made; see docs/data-sets.md for its options

    Any of them takes `only=FILE` too, the images whose keys the file lists, a line each, and `exclude=FILE`, all images
    but those.

    A path without a scheme is told by what it is: a packed set, a folder, a `.tar`, or a `.txt`, `.lst`, `.csv` or
    `.tsv` list.

    Raises:
        InputError: an unknown scheme or option, or whatever the source refuses.
    """
    scheme, path, options = _parsed(str(spec))
    opener, allowed = SCHEMES[scheme]
    listed, excluded = options.pop("only", None), options.pop("exclude", None)
    for option in options:
        if option not in allowed:
            takes = one_of(option, allowed) if allowed else "; it takes none"
            raise InputError(f"{spec}: {scheme}: has no option {option!r}{takes}.")
    source = opener(path, **options)
    chosen = source if listed is None else only_listed(source, os.path.expanduser(listed))
    return chosen if excluded is None else except_listed(chosen, os.path.expanduser(excluded), whole=source)


def _parsed(spec: str) -> tuple[str, str, dict[str, str]]:
    scheme, colon, rest = spec.partition(":")
    if not colon or os.path.exists(spec):
        path, options = _path_and_options(spec, spec)
        return _scheme_of(path), path, options
    if scheme not in SCHEMES:
        raise InputError(f"{spec}: there is no scheme {scheme + ':'!r}{one_of(scheme, tuple(SCHEMES))}.")
    return scheme, *_path_and_options(rest, spec)


def _path_and_options(text: str, spec: str) -> tuple[str, dict[str, str]]:
    if os.path.exists(os.path.expanduser(text)):  # a name may hold a question mark
        return os.path.expanduser(text), {}
    path, _, query = text.partition("?")
    options = {}
    for part in query.split("&") if query else []:
        option, equals, value = part.partition("=")
        if not (option and equals and value):
            raise InputError(f"{spec}: after the question mark come options such as root=DIR, not {part!r}.")
        options[option] = value
    if not path:
        raise InputError(f"{spec}: the path is missing; write for example tar:faces.tar.")
    return os.path.expanduser(path), options


def _scheme_of(path: str) -> str:
    if os.path.isdir(path):
        return "packed" if os.path.isfile(os.path.join(path, MANIFEST)) else "folder"
    if not os.path.exists(path):
        raise InputError(f"{path} does not exist; give a folder of <identity>/<image>, a tar, or a list.")
    try:
        return _SCHEME_OF_SUFFIX[Path(path).suffix.lower()]
    except KeyError:
        raise InputError(f"{path}: cannot tell what this is; write folder:, list: or tar: before it.") from None
