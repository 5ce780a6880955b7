"""Records into one shard of the packed format."""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.records.image_bytes import encoded
from marginface.records.packed_format import (
    HAS_LANDMARKS,
    HAS_META,
    SHARD_MAGIC,
    Footer,
    ShardEntry,
    ends_of,
    padded,
)
from marginface.records.record import Record


class ShardWriter:
    """Writes one shard; what is not image is kept in memory until `finish`, some 60 bytes an image."""

    def __init__(self, file: BinaryIO, *, first_image: int) -> None:
        self._file, self._first = file, first_image
        self._digest = hashlib.sha256()
        self._offsets = [0]
        self._labels: list[int] = []
        self._crcs: list[int] = []
        self._keys: list[bytes] = []
        self._landmarks: list[npt.NDArray[np.float32] | None] = []
        self._meta: list[bytes] = []
        self.num_bytes = 0
        """Of header and images so far."""
        self._write(SHARD_MAGIC)
        self._offsets[0] = self.num_bytes

    @property
    def num_images(self) -> int:
        """How many were added."""
        return len(self._labels)

    def add(self, record: Record, label: int) -> None:
        """Append a record under a label of the set's own.

        Raises:
            InputError: a label above 2^32, landmarks of another shape, meta that is not JSON.
        """
        image = encoded(record.image)
        if not 0 <= label < 2**32:
            raise InputError(f"{record.key}: label {label} does not fit; a packed set holds 2^32 people at most.")
        if record.landmarks is not None and np.shape(record.landmarks) != (5, 2):
            raise InputError(f"{record.key}: landmarks are (5, 2), not {np.shape(record.landmarks)}.")
        try:
            meta = json.dumps(dict(record.meta), ensure_ascii=True, sort_keys=True) if record.meta else ""
        except (TypeError, ValueError) as error:
            raise InputError(f"{record.key}: its meta cannot be written as JSON ({error}).") from error
        self._write(image)
        self._offsets.append(self.num_bytes)
        self._labels.append(label)
        self._crcs.append(zlib.crc32(image))
        self._keys.append(record.key.encode("utf-8", "surrogateescape"))
        self._landmarks.append(record.landmarks)
        self._meta.append(meta.encode())

    def finish(self, name: str) -> ShardEntry:
        """Write the index and the footer, and return what a manifest says of the shard."""
        images_end = self.num_bytes
        self._write(bytes(padded(images_end) - images_end))
        flags = 0
        self._section(np.array(self._offsets, "<u8").tobytes())
        self._section(np.array(self._labels, "<u4").tobytes())
        self._section(np.array(self._crcs, "<u4").tobytes())
        self._section(np.array([zlib.crc32(key) for key in self._keys], "<u4").tobytes())
        self._section(ends_of(self._keys, "the keys"))
        keys = b"".join(self._keys)
        self._section(keys)
        if any(points is not None for points in self._landmarks):
            flags |= HAS_LANDMARKS
            none = np.full((5, 2), np.nan, dtype="<f4")
            self._section(b"".join(np.asarray(none if p is None else p, "<f4").tobytes() for p in self._landmarks))
        meta = b"".join(self._meta)
        if meta:
            flags |= HAS_META
            self._section(ends_of(self._meta, "the meta"))
            self._section(meta)
        footer = Footer(
            sha256=self._digest.digest(),
            num_images=len(self._labels),
            first_image=self._first,
            images_end=images_end,
            key_bytes=len(keys),
            meta_bytes=len(meta),
            flags=flags,
        )
        self._file.write(footer.packed())
        return ShardEntry(
            name=name,
            num_images=len(self._labels),
            num_bytes=self._file.tell(),
            images_end=images_end,
            sha256=footer.sha256.hex(),
        )

    def _section(self, data: bytes) -> None:
        self._write(data)
        self._write(bytes(padded(len(data)) - len(data)))

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self.num_bytes += len(data)
