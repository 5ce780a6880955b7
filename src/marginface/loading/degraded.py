"""A fixed, spoilt copy of a data set: what a model that was good on clean faces is asked next."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from marginface.errors import InputError
from marginface.images.augmentation import uniform
from marginface.images.decode import decode_image
from marginface.images.degrade import check, degrade, encode_jpeg
from marginface.records.record import Record, RecordSource
from marginface.records.wrapped import Wrapped
from marginface.records.write_tar import write_tar

STREAM = 100
"""Of the draws; training's augmentations have smaller numbers."""


class Degraded(Wrapped):
    """The images of a source, spoilt as they are read: what `write_degraded` would write, with nothing written."""

    def __init__(self, source: RecordSource, *, kind: str, strength: float, seed: int = 0) -> None:
        """Keep the source.

        Args:
            source: faces as they are.
            kind: a key of `DEGRADATIONS`.
            strength: in that kind's unit.
            seed: of the directions of motion; an image keeps its own whatever else is in the source.

        Raises:
            InputError: an unknown kind or strength.
        """
        check(kind, strength)
        self.source, self.kind, self.strength, self.seed = source, kind, strength, seed

    @property
    def location(self) -> str:
        """Where the source was opened from, and what became of it."""
        return f"{self.source.location}, {self.kind} {self.strength:g}"

    def __getitem__(self, index: int) -> Record:
        """Return the record with its spoilt image, as a JPEG of quality 95.

        Raises:
            InputError: a broken image.
        """
        record = self.source[index]
        image = decode_image(record.image, name=record.key)
        chance = uniform(self.seed, zlib.crc32(record.key.encode()), stream=STREAM)
        return replace(record, image=encode_jpeg(degrade(image, self.kind, self.strength, chance=chance)))


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
    spoilt = Degraded(source, kind=kind, strength=strength, seed=seed)

    def members() -> Iterator[tuple[str, bytes]]:
        for index, key in enumerate(spoilt.keys):
            if "/" not in key:
                raise InputError(f"{key}: this key does not say whose image it is; keys read identity/image.")
            image = spoilt[index].image
            assert isinstance(image, bytes)
            yield key, image
            if progress is not None:
                progress(index + 1, len(source))

    return write_tar(members(), out)
