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
from marginface.records.write_aside import Progress, new_folder, no_progress

MAX_LABEL = 2**24
"""Labels are float32, exact up to here."""


def write_recordio(records: RecordSource, path: Path, progress: Progress = no_progress) -> int:
    """Write the folder `path` with a pack, and return how many images.

    Where the labels ascend, it gets insightface's header and identity records; otherwise every key is an image.
    `train.lst` (key, label, name) keeps the names, in mxnet's form.

    Raises:
        InputError: `path` exists, a record cannot be read or is too large, or there are too many people for float32.
        WorkError: it cannot be written.
    """
    labels, num_people = records.labels, len(records.identities)
    if num_people > MAX_LABEL:
        raise InputError(f"{records.location} has {num_people:,} people; RecordIO holds {MAX_LABEL:,} at most.")
    with_header = bool(np.all(labels[1:] >= labels[:-1]))
    names = MemberNames(records.identities)
    side: tuple[int, int] | None = None
    with (
        new_folder(path) as aside,
        open(aside / "train.rec", "wb") as rec,
        open(aside / "train.idx", "w", encoding="ascii") as idx,
        open(aside / "train.lst", "w", encoding="utf-8", errors="surrogateescape") as lst,
    ):

        def put(key: int, payload: bytes, name: str) -> None:
            if len(payload) > MAX_PART_BYTES:
                raise InputError(f"{name}: {len(payload):,} bytes are more than a RecordIO record can hold.")
            idx.write(f"{key}\t{rec.tell()}\n")
            rec.write(framed(payload))

        first = 1 if with_header else 0
        end = first + len(records)
        if with_header:
            put(0, packed([end, end + num_people], 0, b""), "the header")
        for i in range(len(records)):
            record = records[i]
            image = encoded(record.image)
            side = side or size_of(image)
            name = names.next(record, image)
            put(first + i, packed(record.label, first + i, image), name)
            lst.write(f"{first + i}\t{record.label}\t{name}\n")
            progress(i + 1, len(records))
        if with_header:
            starts = first + np.searchsorted(labels, np.arange(num_people + 1))
            for label in range(num_people):
                bounds = [int(starts[label]), int(starts[label + 1])]
                put(end + label, packed(bounds, end + label, b""), "an identity record")
        height, width = side or (112, 112)
        (aside / "property").write_text(f"{num_people},{height},{width}\n", encoding="ascii")
    return len(records)


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
