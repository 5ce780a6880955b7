"""A checksum of what a source holds, by which unfinished work knows its data again."""

from __future__ import annotations

import zlib

from marginface.records.image_bytes import encoded
from marginface.records.names import crcs_of
from marginface.records.record import RecordSource

_CHUNK = 1 << 20
_SAMPLED = 16


def checksum_of(source: RecordSource) -> str:
    """Return a checksum of the labels, keys and people of a source, in order; the same for the same data anywhere."""
    crc = zlib.crc32(crcs_of(source.keys).astype("<u4", copy=False).data)
    labels = source.labels
    for start in range(0, len(labels), _CHUNK):
        crc = zlib.crc32(labels[start : start + _CHUNK].astype("<u4").data, crc)
    people = zlib.crc32(crcs_of(source.identities).astype("<u4", copy=False).data)
    return f"{crc:08x}{people:08x}"


def sample_of(source: RecordSource) -> int:
    """Return a CRC-32 of a few images spread over a source: other images under the same keys are told apart by it."""
    num = len(source)
    crc = 0
    for index in sorted({i * (num - 1) // (_SAMPLED - 1) for i in range(_SAMPLED)} if num else ()):
        crc = zlib.crc32(encoded(source[index].image), crc)
    return crc
