"""`open_records("tar:faces.tar")`: from what a person types to a source of records."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from marginface.errors import InputError, one_of
from marginface.records.cvlface_pairs import open_cvlface
from marginface.records.image_folder import ImageFolder
from marginface.records.image_list import ImageList
from marginface.records.memfile import MemfilePairs
from marginface.records.packed import open_packed
from marginface.records.packed_format import MANIFEST
from marginface.records.pairs_bin import PairsBin
from marginface.records.record import RecordSource
from marginface.records.recordio import RecordIO
from marginface.records.select import except_listed, only_listed
from marginface.records.synthetic import SyntheticImages
from marginface.records.tar_images import TarImages
from marginface.records.tar_shards import TarShards, is_shard

_TABLE_OPTIONS = ("image", "label", "split")
SCHEMES: dict[str, tuple[Callable[..., RecordSource], tuple[str, ...]]] = {
    "arrow": (open_cvlface, _TABLE_OPTIONS),
    "bin": (PairsBin, ()),
    "folder": (ImageFolder, ()),
    "list": (ImageList, ("root",)),
    "memfile": (MemfilePairs, ()),
    "packed": (open_packed, ("verify", "excluded", "cache", "cache_gb")),
    "parquet": (open_cvlface, _TABLE_OPTIONS),
    "recordio": (RecordIO, ("names",)),
    "synthetic": (SyntheticImages, ("people", "size")),
    "tar": (TarImages, ("root",)),
    "webdataset": (TarShards, ()),
}
"""What opens each scheme, and the options it takes."""

_SCHEME_OF_SUFFIX = {
    ".bin": "bin",
    ".csv": "list",
    ".idx": "recordio",
    ".list": "list",
    ".lst": "list",
    ".parquet": "parquet",
    ".rec": "recordio",
    ".tar": "tar",
    ".tsv": "list",
    ".txt": "list",
}
_SCHEME_OF_MARK = {
    MANIFEST: "packed",
    "train.rec": "recordio",
    os.path.join("memfile", "mem_file.dat"): "memfile",
    "state.json": "arrow",
    "dataset_dict.json": "arrow",
}
"""Files that tell what a folder is."""
_SCHEME_OF_CONTENT = {".rec": "recordio", ".parquet": "parquet", ".tar": "webdataset"}
"""What a folder is that has files of such a suffix and no folder in it."""


def open_records(spec: str | Path) -> RecordSource:
    """Return the records that `spec` names.

    The grammar is `scheme:path?option=value&option=value`:

        folder:DIR                  DIR/<identity>/<image>
        list:FILE[?root=DIR]        `path 0 label 0`, `path label`, or a CSV/TSV table; relative paths start at root
        tar:FILE[?root=FOLDER]      members named <identity>/<image>, below FOLDER of the tar
        recordio:DIR or FILE.rec    mxnet's packs; ?names=numbers leaves a list beside them alone
        webdataset:PATTERN          tars of KEY.jpg and KEY.cls or KEY.json: a-{000..146}.tar, a-*.tar, or their folder
        parquet:FILE or DIR         Hugging Face's tables, also arrow:DIR (save_to_disk); ?image=, ?label=, ?split=
        bin:FILE                    a verification pack (pickle), read without running it
        memfile:DIR                 AdaFace's verification sets
        synthetic:N[?people=&size=] random images for measurements
        packed:DIR or URL[?...]     what `marginface data convert` made; see docs/data-sets.md for its options

    Any of them takes `only=FILE` too, the images whose keys the file lists, a line each, and `exclude=FILE`, all images
    but those.

    A path without a scheme is told by its suffix, a folder by the files in it; docs/data-formats.md has the table.

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
        return _scheme_of_folder(path)
    suffix = Path(path).suffix.lower()
    if not os.path.exists(path):
        if suffix == ".tar" and any(sign in path for sign in "{*"):
            return "webdataset"
        raise InputError(f"{path} does not exist; give a folder of <identity>/<image>, a tar, or a list.")
    if suffix not in _SCHEME_OF_SUFFIX:
        raise InputError(f"{path}: cannot tell what this is; write folder:, list: or tar: before it.")
    return "webdataset" if suffix == ".tar" and is_shard(path) else _SCHEME_OF_SUFFIX[suffix]


def _scheme_of_folder(path: str) -> str:
    for mark, scheme in _SCHEME_OF_MARK.items():
        if os.path.isfile(os.path.join(path, mark)):
            return scheme
    found = "folder"
    with contextlib.suppress(OSError), os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir() and not entry.name.startswith("."):
                return "parquet" if any(Path(path, "data").glob("*.parquet")) else "folder"
            found = _SCHEME_OF_CONTENT.get(Path(entry.name).suffix.lower(), found)
    return found
