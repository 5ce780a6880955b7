"""A fixed, spoilt copy of a data set: what a model that was good on clean faces is asked next."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from marginface.errors import InputError
from marginface.images.augment import uniform
from marginface.images.decode import decode_image
from marginface.images.degrade import check, degrade, encode_jpeg
from marginface.records.record import RecordSource
from marginface.records.write_tar import write_tar

STREAM = 100
"""Of the draws; training's augmentations have smaller numbers."""


def write_degraded(
    source: RecordSource,
    out: str | Path,
    *,
    kind: str,
    strength: float,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write a tar of spoilt copies, with the keys of the source, and return how many there are.

    The same source, kind, strength and seed make the same bytes. Copies are JPEGs of quality 95 without subsampling,
    so a little is lost beyond what is asked for.

    Args:
        source: faces as they are; keys have to read `identity/image`.
        out: the tar.
        kind: a key of `DEGRADATIONS`.
        strength: in that kind's unit.
        seed: of the directions of motion; an image keeps its own whatever else is in the source.
        progress: called with (images done, images in all).

    Raises:
        InputError: an unknown kind or strength, a broken image, a key without its identity.
        WorkError: the tar could not be written.
    """
    check(kind, strength)

    def members() -> Iterator[tuple[str, bytes]]:
        for index in range(len(source)):
            record = source[index]
            if "/" not in record.key:
                raise InputError(f"{record.key}: this key does not say whose image it is; keys read identity/image.")
            image = decode_image(record.image, name=record.key)
            chance = uniform(seed, zlib.crc32(record.key.encode()), stream=STREAM)
            yield record.key, encode_jpeg(degrade(image, kind, strength, chance=chance))
            if progress is not None:
                progress(index + 1, len(source))

    return write_tar(members(), out)
