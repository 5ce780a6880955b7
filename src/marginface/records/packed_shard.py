"""One shard of a packed set, opened: its index is mapped, its images are read one by one."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.records.blob_store import Blob, sha256_of
from marginface.records.names import NameBlock
from marginface.records.packed_format import FOOTER_BYTES, SHARD_MAGIC, Footer, ShardEntry

_PAIR = struct.Struct("<QQ")
_NUMBER = struct.Struct("<I")


class Shard:
    """Images, labels, keys, landmarks and meta of one shard. Opening costs the same for ten images and ten million."""

    def __init__(self, blob: Blob, *, where: str, entry: ShardEntry | None = None) -> None:
        """Read the footer and map the index.

        Args:
            blob: the file.
            where: its name for messages.
            entry: what the manifest says of it; None while the set is still being written.

        Raises:
            InputError: cut short, damaged, or another shard than the manifest means.
        """
        self.blob, self.where = blob, where
        self.footer = footer = Footer.read(
            blob.read(max(blob.size - FOOTER_BYTES, 0), min(blob.size, FOOTER_BYTES)), where
        )
        self._sections = footer.sections()
        if self._sections["end"][0] + FOOTER_BYTES != blob.size or footer.images_end < len(SHARD_MAGIC):
            raise InputError(f"{where} is damaged: its footer does not fit its {blob.size} bytes; copy it again.")
        if entry is not None and entry != self.entry(entry.name):
            raise InputError(f"{where} is not the shard that packed.json names; copy the whole folder again.")
        self._index_start = self._sections["offsets"][0]
        self._index = blob.map(self._index_start, self._sections["end"][0] - self._index_start)
        self.has_landmarks, self.has_meta = "landmarks" in self._sections, "meta" in self._sections
        self._images_end = footer.images_end
        self._labels_at = self._place("labels")
        self._crcs_at = self._place("crcs")
        self.labels = self._numbers("labels")
        self.key_crcs = self._numbers("key_crcs")
        self.keys = self._names("key_ends", "keys")

    def entry(self, name: str) -> ShardEntry:
        """Return what a manifest says of this shard."""
        footer = self.footer
        return ShardEntry(
            name=name,
            num_images=footer.num_images,
            num_bytes=self.blob.size,
            images_end=footer.images_end,
            sha256=footer.sha256.hex(),
        )

    def label(self, index: int) -> int:
        """Return the label of image `index`."""
        label: int = _NUMBER.unpack_from(self._index, self._labels_at + 4 * index)[0]
        return label

    def image(self, index: int, *, verify: bool) -> bytes:
        """Return the encoded image.

        Raises:
            InputError: its bytes cannot be there, or with `verify` are not those that were written.
        """
        start, end = _PAIR.unpack_from(self._index, 8 * index)
        if not 8 <= start <= end <= self._images_end:
            raise InputError(f"{self.where} is damaged: its image {index} lies outside it; copy or convert it again.")
        image = self.blob.read(start, end - start)
        if verify and zlib.crc32(image) != _NUMBER.unpack_from(self._index, self._crcs_at + 4 * index)[0]:
            raise InputError(
                f"{self.where}, {self.keys[index]}: the bytes of this image changed since they were written (its CRC-32"
                " does not fit); copy or convert it again."
            )
        return image

    def landmarks(self, index: int) -> npt.NDArray[np.float32] | None:
        """Return (5, 2) float32, or None where the image has none."""
        if not self.has_landmarks:
            return None
        points = np.frombuffer(self._index, "<f4", 10, self._place("landmarks") + 40 * index).reshape(5, 2)
        return None if np.isnan(points).any() else points.astype(np.float32)

    def meta(self, index: int) -> Mapping[str, Any]:
        """Return what else is known of the image.

        Raises:
            InputError: it is damaged.
        """
        if not self.has_meta:
            return {}
        text = self._names("meta_ends", "meta")[index]
        try:
            meta = json.loads(text) if text else {}
            if not isinstance(meta, dict):
                raise ValueError("it is no object")
        except (ValueError, RecursionError) as error:
            raise InputError(f"{self.where}: the meta of {self.keys[index]} is damaged ({error}).") from error
        return meta

    def fault(self) -> str:
        """Return what is wrong with the file's bytes, found by reading all of them; "" where they are as written."""
        try:
            if self.blob.read(0, len(SHARD_MAGIC)) != SHARD_MAGIC:
                return f"{self.where} does not begin as a shard does; copy or convert it again."
            if sha256_of(self.blob, self._sections["end"][0]) != self.footer.sha256.hex():
                return f"{self.where}: its bytes changed since it was written (SHA-256); copy or convert it again."
        except InputError as error:
            return str(error)
        return ""

    def _place(self, section: str) -> int:
        return self._sections[section][0] - self._index_start

    def _numbers(self, section: str) -> npt.NDArray[np.uint32]:
        return np.frombuffer(self._bytes_of(section), "<u4")

    def _names(self, ends: str, text: str) -> NameBlock:
        return NameBlock(self._bytes_of(ends), self._bytes_of(text), where=self.where)

    def _bytes_of(self, section: str) -> memoryview:
        start = self._place(section)
        return self._index[start : start + self._sections[section][1]]
