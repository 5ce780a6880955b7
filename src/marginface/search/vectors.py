"""Vectors in a file of equal slots, mapped for reading and written by plain writes.

Written by `pwrite` and never through the map, for a full disk must be an error and not a dead process. The file never
loses a slot, for a reader may have it mapped. Each slot tells whose it is, so that a gallery can be rebuilt from this
file alone, and erasing a slot erases the name with the vector.

    header, 64 KiB      magic, JSON: id of the gallery, all of its settings
    slot 0, 1, 2, ...   checksum, person, name, sequence number, quality, norm, vector; all zero where the slot is free
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError, WorkError
from marginface.search.names import MAX_NAME_BYTES
from marginface.search.settings import GallerySettings, Vectors

_MAGIC = b"marginface vectors 1\n"
_HEADER_BYTES = 65536
_LINE = 64
"""Slots start on cache lines."""

Slots = npt.NDArray[np.int64]


def slot_type(embedding_dim: int) -> np.dtype[Any]:
    """Return the layout of a slot."""
    vector_at = 320
    fields: dict[str, tuple[Any, int]] = {
        "checksum": ("<u4", 0),
        "name_bytes": ("<u4", 4),
        "person": ("V16", 8),
        "sequence": ("<u8", 24),
        "quality": ("<f4", 32),
        "norm": ("<f4", 36),
        "name": (f"V{MAX_NAME_BYTES + 1}", 40),
        "vector": (("<f4", (embedding_dim,)), vector_at),
    }
    size = -(-(vector_at + 4 * embedding_dim) // _LINE) * _LINE
    formats, offsets = zip(*fields.values(), strict=True)
    return np.dtype({"names": list(fields), "formats": formats, "offsets": offsets, "itemsize": size})


class VectorFile:
    """One file of slots, open for reading and writing."""

    def __init__(self, path: Path) -> None:
        """Open a file.

        Raises:
            InputError: no such file, or another kind of file.
        """
        self.path = path
        try:
            self._file = os.open(path, os.O_RDWR)
        except FileNotFoundError as error:
            raise InputError(f"{path}: this file of the gallery is missing; restore it from a copy.") from error
        except OSError as error:
            raise InputError(f"{path}: cannot be opened ({error.strerror}).") from error
        header = os.pread(self._file, _HEADER_BYTES, 0)
        if not header.startswith(_MAGIC) or len(header) < _HEADER_BYTES:
            os.close(self._file)
            raise InputError(f"{path}: this is not a file of vectors, or its header is damaged.")
        text = header[len(_MAGIC) :].rstrip(b"\0").decode()
        self.settings = GallerySettings.from_json(text)
        self._type = slot_type(self.settings.embedding_dim)
        self._map: npt.NDArray[Any] = np.zeros(0, self._type)

    @classmethod
    def create(cls, path: Path, settings: GallerySettings) -> VectorFile:
        """Make an empty file, which must not exist."""
        header = (_MAGIC + settings.to_json().encode()).ljust(_HEADER_BYTES, b"\0")
        if len(header) > _HEADER_BYTES:
            raise InputError("the model's card has too many thresholds for a gallery to carry.")
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # faces are nobody else's business
        try:
            os.write(file, header)
            os.fsync(file)
        finally:
            os.close(file)
        return cls(path)

    @property
    def num_slots(self) -> int:
        """Whole slots in the file, free ones included."""
        return (os.fstat(self._file).st_size - _HEADER_BYTES) // self._type.itemsize

    def slots(self) -> npt.NDArray[Any]:
        """Return all slots (N,) as mapped records; they change under the reader when somebody writes."""
        count = self.num_slots
        if count > len(self._map):
            self._map = np.memmap(self.path, dtype=self._type, mode="r", offset=_HEADER_BYTES, shape=(count,))
        return self._map

    def vectors(self) -> Vectors:
        """Return all vectors (N, D), mapped; rows of free slots are zero."""
        return self.slots()["vector"]

    def write(
        self,
        slots: Sequence[int],
        unit: Vectors,
        *,
        person_id: str,
        name: str,
        sequence: int,
        qualities: Vectors,
        norms: Vectors,
    ) -> None:
        """Fill slots with vectors of one person; call `sync` before telling anybody."""
        encoded = name.encode()
        records = np.zeros(len(slots), self._type)
        records["name_bytes"] = len(encoded)
        records["person"] = np.void(bytes.fromhex(person_id))
        records["name"] = np.void(encoded.ljust(MAX_NAME_BYTES + 1, b"\0"))
        records["sequence"] = sequence
        records["quality"], records["norm"], records["vector"] = qualities, norms, unit
        for i, slot in enumerate(slots):
            records["checksum"][i] = _checksum(records[i])
            self._put(slot, records[i].tobytes())

    def erase(self, slots: Sequence[int]) -> None:
        """Overwrite slots by zeros, down to the disk, and read them back.

        Raises:
            WorkError: the zeros did not arrive.
        """
        if not len(slots):
            return
        empty = bytes(self._type.itemsize)
        for slot in slots:
            self._put(slot, empty)
        self.sync()
        if len(self.filled(np.asarray(slots, dtype=np.int64))):
            raise WorkError(f"{self.path}: slots were overwritten by zeros but read back otherwise.")

    def drop_part(self) -> None:
        """Cut off the beginning of a slot at the end of the file, left by a write that failed; nobody has it mapped."""
        os.ftruncate(self._file, _HEADER_BYTES + self.num_slots * self._type.itemsize)

    def filled(self, slots: Slots) -> Slots:
        """Return those of `slots` that are not all zero."""
        size = self._type.itemsize
        empty = bytes(size)
        kept = [s for s in slots.tolist() if os.pread(self._file, size, _HEADER_BYTES + s * size).strip(empty[:1])]
        return np.array(kept, dtype=np.int64)

    def damaged(self, slots: Slots) -> Slots:
        """Return those of `slots` whose checksum does not fit."""
        records = self.slots()
        return np.array([s for s in slots.tolist() if records["checksum"][s] != _checksum(records[s])], dtype=np.int64)

    def owner(self, slot: int) -> tuple[str, str]:
        """Return the id and the name of the person in a slot."""
        record = self.slots()[slot]
        name = record["name"].tobytes()[: int(record["name_bytes"])].decode()
        return record["person"].tobytes().hex(), name

    def sync(self) -> None:
        """Wait until what was written is on the disk."""
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file; arrays that were handed out stay readable. Closing twice does no harm."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1  # the number may be another file's by now

    def _put(self, slot: int, record: bytes) -> None:
        written = os.pwrite(self._file, record, _HEADER_BYTES + slot * self._type.itemsize)
        if written != len(record):
            raise OSError(28, os.strerror(28), str(self.path))


def _checksum(record: Any) -> int:
    """Return the CRC-32 of all of a slot but the checksum; never 0, which is that of a free slot."""
    return zlib.crc32(record.tobytes()[4:]) or 1
