"""One record of mxnet's RecordIO: from framed bytes to labels and image.

    record   uint32 magic 0xCED7230A | uint32 flag (top 3 bits) and length (29 bits) | payload | zeros to a multiple of
    4 payload  uint32 count | float32 label | uint64 id | uint64 id2 | `count` float32 labels | encoded image

Little endian. Flag 0 is a whole record; 1, 2, 3 are the first, middle and last part of one whose payload held the magic
at a multiple of four: the parts are joined with the magic put back. With a count above 0 the single label is unused.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError

MAGIC = 0xCED7230A
MAGIC_BYTES = struct.pack("<I", MAGIC)
MAX_PART_BYTES = 2**29 - 1
"""29 bits hold a part's length."""
HEADER_BYTES = 24


class Payload(NamedTuple):
    """What a record holds."""

    labels: npt.NDArray[np.float32]
    """(1,) or, in packs with several labels, (count,)."""
    has_label_array: bool
    image: bytes
    """Encoded; empty for header and identity records."""


def payload_of(framed: bytes, where: str) -> Payload:
    """Return what a record holds.

    Args:
        framed: its bytes, from its magic on; what follows it is left alone.
        where: file and record, for messages.

    Raises:
        InputError: no magic, parts that do not belong together, or lengths that go beyond the bytes.
    """
    data = _joined(framed, where)
    if len(data) < HEADER_BYTES:
        raise InputError(f"{where} is damaged: its payload has {len(data)} bytes, its header alone has {HEADER_BYTES}.")
    count, label = struct.unpack_from("<If", data)
    end = HEADER_BYTES + 4 * count
    if end > len(data):
        raise InputError(f"{where} is damaged: it claims {count:,} labels in {len(data):,} bytes.")
    labels = np.frombuffer(data, "<f4", count, HEADER_BYTES) if count else np.array([label], np.float32)
    return Payload(labels, count > 0, data[end:])


def plain_image(framed: bytes) -> bytes | None:
    """Return the image of a whole, undivided record quickly; None where `payload_of` has to look closer."""
    if len(framed) < 8 + HEADER_BYTES:
        return None
    magic, word, count = struct.unpack_from("<III", framed)
    start, end = 8 + HEADER_BYTES + 4 * count, 8 + word  # a flag in the top bits of the word puts the end out of reach
    return framed[start:end] if magic == MAGIC and start <= end <= len(framed) else None


def part_header(data: bytes, place: int, where: str) -> tuple[int, int]:
    """Return (flag, length) of the part that starts at `place`.

    Raises:
        InputError: there is no magic, or no room for the header.
    """
    if place + 8 > len(data):
        raise InputError(f"{where} is cut short.")
    magic, word = struct.unpack_from("<II", data, place)
    if magic != MAGIC:
        raise InputError(f"{where} is damaged: it starts with {magic:#010x} instead of {MAGIC:#010x}.")
    return word >> 29, word & MAX_PART_BYTES


def _joined(data: bytes, where: str) -> bytes:
    parts: list[bytes] = []
    place = 0
    while True:
        flag, length = part_header(data, place, where)
        start = place + 8
        if start + length > len(data):
            raise InputError(f"{where} is cut short: {length:,} bytes are claimed, {len(data) - start:,} are there.")
        if flag not in ((2, 3) if parts else (0, 1)):
            raise InputError(f"{where} is damaged: part {len(parts)} has the flag {flag}.")
        parts.append(data[start : start + length])
        if flag in (0, 3):
            return parts[0] if flag == 0 else MAGIC_BYTES.join(parts)
        place = start + length + -length % 4
