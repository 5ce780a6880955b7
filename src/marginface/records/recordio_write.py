"""Packs of mxnet's RecordIO written without mxnet: `train.rec`, `train.idx`, `train.lst`, `property`.

The layout is told in `recordio_part.py`. The framing is that of dmlc-core's `RecordIOWriter`: where the payload holds
the magic at a multiple of four, it is cut there, and the reader puts the magic back.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from marginface.errors import InputError
from marginface.records.image_bytes import encoded, size_of
from marginface.records.member_names import MemberNames
from marginface.records.record import RecordSource
from marginface.records.recordio_part import MAGIC, MAGIC_BYTES, MAX_PART_BYTES
from marginface.records.unfinished import unfinished
from marginface.records.write_aside import Progress, no_progress

MAX_LABEL = 2**24
"""Labels are float32, exact up to here."""


def write_recordio(records: RecordSource, path: Path, progress: Progress = no_progress) -> int:
    """Write the folder `path` with a pack, and return how many images.

    Where the labels ascend, it gets insightface's header and identity records; otherwise every key is an image.
    `train.lst` (key, label, name) keeps the names, in mxnet's form. After an interruption the same call goes on, see
    `unfinished`.

    Raises:
        InputError: `path` exists, a record cannot be read or is too large, or there are too many people for float32.
        WorkError: it cannot be written.
    """
    labels, num_people = records.labels, len(records.identities)
    if num_people > MAX_LABEL:
        raise InputError(f"{records.location} has {num_people:,} people; RecordIO holds {MAX_LABEL:,} at most.")
    with_header = bool(np.all(labels[1:] >= labels[:-1]))
    names = MemberNames(records.identities)
    first = 1 if with_header else 0
    end = first + len(records)
    with unfinished(path, records, written_as="recordio") as work:
        work.target.mkdir(exist_ok=True)
        listed = work.target / "train.lst"
        rec, idx, lst = work.grow(work.target / "train.rec", work.target / "train.idx", listed)
        names.take_up(listed.read_bytes(), labels[: work.done])

        def put(key: int, payload: bytes, name: str) -> None:
            if len(payload) > MAX_PART_BYTES:
                raise InputError(f"{name}: {len(payload):,} bytes are more than a RecordIO record can hold.")
            idx.write(b"%d\t%d\n" % (key, rec.tell()))
            rec.write(framed(payload))

        if with_header and not work.done:
            put(0, packed([end, end + num_people], 0, b""), "the header")
        for i in range(work.done, len(records)):
            record = records[i]
            image = encoded(record.image)
            name = names.next(record, image)
            put(first + i, packed(record.label, first + i, image), name)
            lst.write(b"%d\t%d\t%b" % (first + i, record.label, names.line(name)))
            work.mark(i + 1)
            progress(i + 1, len(records))
        if with_header:
            starts = first + np.searchsorted(labels, np.arange(num_people + 1))
            for label in range(num_people):
                bounds = [int(starts[label]), int(starts[label + 1])]
                put(end + label, packed(bounds, end + label, b""), "an identity record")
        height, width = _size(records)
        with work.part(work.target / "property") as aside:
            aside.write_text(f"{num_people},{height},{width}\n", encoding="ascii")
    return len(records)


def _size(records: RecordSource) -> tuple[int, int]:
    """Return (height, width) of the first image that tells it; 112 x 112, as most packs have, where none does."""
    sizes = (size_of(encoded(records[i].image)) for i in range(len(records)))
    return next((size for size in sizes if size is not None), (112, 112))


def packed(label: float | list[int], number: int, image: bytes) -> bytes:
    """Return IRHeader and image: uint32 flag, float32 label, uint64 id, uint64 id2, then `flag` float32 labels."""
    if isinstance(label, list):
        return struct.pack(f"<IfQQ{len(label)}f", len(label), 0.0, number, 0, *label) + image
    return struct.pack("<IfQQ", 0, label, number, 0) + image


def framed(payload: bytes) -> bytes:
    """Return the payload as a record: one part, or several around each magic at a multiple of four."""
    cuts = _aligned_magics(payload)
    if not cuts:
        return _part(0, payload)
    starts = [0, *(cut + 4 for cut in cuts)]
    ends = [*cuts, len(payload)]
    flags = [1] + [2] * (len(cuts) - 1) + [3]
    return b"".join(_part(flag, payload[s:e]) for flag, s, e in zip(flags, starts, ends, strict=True))


def _part(flag: int, body: bytes) -> bytes:
    return struct.pack("<II", MAGIC, flag << 29 | len(body)) + body + bytes(-len(body) % 4)


def _aligned_magics(payload: bytes) -> list[int]:
    found: list[int] = []
    place = payload.find(MAGIC_BYTES)
    while place >= 0:
        if place % 4 == 0:
            found.append(place)
        place = payload.find(MAGIC_BYTES, place + 4 if place % 4 == 0 else place + 1)
    return found
