"""Records into files: one writer for each format, all of one shape. Encoded bytes, labels and order are kept."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from marginface.errors import InputError
from marginface.records.image_bytes import encoded
from marginface.records.image_folder import ImageFolder
from marginface.records.image_list import ImageList
from marginface.records.image_pairs import PairedImages
from marginface.records.member_names import ORDER_FILE, MemberNames
from marginface.records.packed_write import write_packed
from marginface.records.record import Record, RecordSource
from marginface.records.recordio_write import write_recordio
from marginface.records.select import Subset
from marginface.records.unfinished import unfinished
from marginface.records.write_aside import Progress, new_file, no_progress, refuse_existing
from marginface.records.write_pairs import pairs_path, write_pairs
from marginface.records.write_parquet import write_parquet
from marginface.records.write_tar import write_tar_of
from marginface.records.write_webdataset import write_webdataset

Writer = Callable[[RecordSource, Path, Progress], int]
"""Writes the records of a source to a path that does not exist yet, and returns how many."""


def write_folder(records: RecordSource, path: Path, progress: Progress = no_progress) -> int:
    """Write `path/<identity>/<image>`, and return how many images.

    Names are the keys; characters that a file system cannot hold become %XX. `.order.json` is added where reading by
    name would change the order or the labels. After an interruption the same call goes on, see `unfinished`: files
    that are there with the right content are not written again.

    Raises:
        InputError: `path` exists, or a record cannot be read.
        WorkError: it cannot be written.
    """
    names = MemberNames(records.identities)
    with unfinished(path, records, written_as="folder") as work:
        work.target.mkdir(exist_ok=True)
        for done, record in enumerate(_all(records), start=1):
            image = encoded(record.image)
            _write_once(work.target / names.next(record, image), image)
            progress(done, len(records))
        if names.needs_order_file():
            _write_once(work.target / ORDER_FILE, names.order_file())
    return len(records)


def write_list(records: RecordSource, path: Path, progress: Progress = no_progress) -> int:
    """Write a list of the files of a source, `path<tab>identity` lines, and return how many; no image is copied.

    Where the sorted names of the identities would give other labels, the lines hold the labels instead of the names.

    Raises:
        InputError: `path` exists, or the images are no files of their own.
        WorkError: it cannot be written.
    """
    refuse_existing(path)
    paths = _file_paths(records)
    if paths is None:
        raise InputError(f"{records.location}: its images are no files of their own, so no list can name them.")
    names = list(records.identities)
    in_name_order = names == sorted(names) and not any(name.isdecimal() for name in names)
    plain = all(name.strip() == name != "" and not name.startswith("#") and name.isprintable() for name in names)
    shown = names if in_name_order and plain else [str(label) for label in range(len(names))]
    with new_file(path) as aside, open(aside, "w", encoding="utf-8") as file:
        for done, (image, label) in enumerate(zip(paths, records.labels.tolist(), strict=True), start=1):
            if "\t" in image or "\n" in image:
                raise InputError(f"{image!r} has a tab or line end in its name; a list cannot hold it. Rename it.")
            file.write(f"{image}\t{shown[label]}\n")
            progress(done, len(records))
    return len(records)


def _with_pairs(writer: Writer) -> Writer:
    """Return a writer that also keeps the pairs of a verification pack, as `NAME.pairs.csv` beside what it writes.

    The pairs come first: once the records are there, nobody would ask for them again.
    """

    def write(records: RecordSource, path: Path, progress: Progress = no_progress) -> int:
        if isinstance(records, PairedImages):
            refuse_existing(path)
            write_pairs(records, pairs_path(path))
        return writer(records, path, progress)

    return write


_WRITERS: dict[str, Writer] = {
    "folder": write_folder,
    "list": write_list,
    "packed": write_packed,
    "parquet": write_parquet,
    "recordio": write_recordio,
    "tar": write_tar_of,
    "webdataset": write_webdataset,
}
WRITERS: dict[str, Writer] = {scheme: _with_pairs(writer) for scheme, writer in _WRITERS.items()}
"""What writes each scheme of `open_records`."""


def _all(records: RecordSource) -> Iterator[Record]:
    for index in range(len(records)):
        yield records[index]


def _write_once(path: Path, data: bytes) -> None:
    """Write a file, unless it is there with this content already."""
    with contextlib.suppress(OSError):
        if path.stat().st_size == len(data) and path.read_bytes() == data:
            return
    try:
        path.write_bytes(data)
    except FileNotFoundError:  # asking first would cost a call a file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _file_paths(records: RecordSource) -> list[str] | None:
    """Return the absolute path of each image, or None where they lie in some other file."""
    if isinstance(records, ImageFolder | ImageList):
        return [os.path.join(records.root, key) for key in records.keys]
    if isinstance(records, Subset):
        whole = _file_paths(records.source)
        return None if whole is None else [whole[i] for i in records.indices.tolist()]
    return None
