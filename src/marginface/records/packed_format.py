"""The packed format, byte by byte: shards of images, files of names, and the manifest that says which of them count.

A shard, every number little endian, every section padded with zero bytes to a multiple of 8:

    header     8 bytes       b"MFSHARD1"
    images     any           encoded images, back to back
    offsets    u64 (n + 1)   image i is the bytes offsets[i] to offsets[i + 1] of the file
    labels     u32 (n)       0..C-1
    crcs       u32 (n)       CRC-32 of each image
    key_crcs   u32 (n)       CRC-32 of each key
    key_ends   u32 (n + 1)   key i is the bytes key_ends[i] to key_ends[i + 1] of keys
    keys       any           UTF-8
    landmarks  f32 (n, 5, 2) only with flag 1; NaN where an image has none
    meta_ends  u32 (n + 1)   only with flag 2
    meta       any           only with flag 2: JSON objects, empty where an image has none
    footer     88 bytes      see `Footer`

A file of names: b"MFNAMES1", u64 n, u32 ends (n + 1), padding, UTF-8.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from marginface.errors import InputError
from marginface.records.names import NameBlock

SHARD_MAGIC = b"MFSHARD1"
NAMES_MAGIC = b"MFNAMES1"
MANIFEST = "packed.json"
JOURNAL = "packed.unfinished.json"
FORMAT = "marginface packed 1"
HAS_LANDMARKS, HAS_META = 1, 2

_FOOTER = struct.Struct("<32s5QII8s")
_END = b"MFEND001"
FOOTER_BYTES = _FOOTER.size


def padded(length: int) -> int:
    """Return `length` rounded up to a multiple of 8."""
    return -(-length // 8) * 8


@dataclass(frozen=True, kw_only=True)
class Footer:
    """The last 88 bytes of a shard, in the order of the fields."""

    sha256: bytes
    """32 bytes: of everything before the footer."""
    num_images: int
    first_image: int
    """Number of the first image in the whole set."""
    images_end: int
    """Where the last image ends; the offsets begin at the next multiple of 8."""
    key_bytes: int
    meta_bytes: int
    flags: int
    """1: landmarks, 2: meta. Then come a u32, the CRC-32 of the footer up to here, and b"MFEND001"."""

    def packed(self) -> bytes:
        """Return the 88 bytes."""
        numbers = (self.num_images, self.first_image, self.images_end, self.key_bytes, self.meta_bytes, self.flags)
        start = struct.pack("<32s5QI", self.sha256, *numbers)
        return start + struct.pack("<I8s", zlib.crc32(start), _END)

    @classmethod
    def read(cls, data: bytes, where: str) -> Footer:
        """Return what the last bytes of a shard say.

        Raises:
            InputError: they are no footer, or a damaged one.
        """
        if len(data) != FOOTER_BYTES or data[-8:] != _END:
            raise InputError(
                f"{where} is cut short or no shard: it does not end in a footer; copy or convert it again."
            )
        sha256, num_images, first, images_end, key_bytes, meta_bytes, flags, crc, _ = _FOOTER.unpack(data)
        if zlib.crc32(data[:-12]) != crc or flags & ~(HAS_LANDMARKS | HAS_META):
            raise InputError(f"{where} is damaged: its footer does not fit its checksum; copy or convert it again.")
        return cls(
            sha256=sha256,
            num_images=num_images,
            first_image=first,
            images_end=images_end,
            key_bytes=key_bytes,
            meta_bytes=meta_bytes,
            flags=flags,
        )

    def sections(self) -> dict[str, tuple[int, int]]:
        """Return (start, length in bytes) of each section after the images; "end" is where the footer stands."""
        num = self.num_images
        lengths = {"offsets": 8 * (num + 1), "labels": 4 * num, "crcs": 4 * num, "key_crcs": 4 * num}
        lengths |= {"key_ends": 4 * (num + 1), "keys": self.key_bytes}
        if self.flags & HAS_LANDMARKS:
            lengths["landmarks"] = 40 * num
        if self.flags & HAS_META:
            lengths |= {"meta_ends": 4 * (num + 1), "meta": self.meta_bytes}
        places, place = {}, padded(self.images_end)
        for name, length in lengths.items():
            places[name] = (place, length)
            place += padded(length)
        return places | {"end": (place, 0)}


@dataclass(frozen=True, kw_only=True)
class ShardEntry:
    """A shard as the manifest names it."""

    name: str
    num_images: int
    num_bytes: int
    images_end: int
    """As in the footer: the rest of the file is its index."""
    sha256: str


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """A file of names, or a list of excluded keys, as the manifest names it."""

    name: str
    num_names: int
    num_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """`packed.json`: what belongs to the set. It is written last, so that what is unfinished is never read."""

    shards: tuple[ShardEntry, ...] = ()
    identities: tuple[FileEntry, ...] = ()
    exclude: tuple[FileEntry, ...] = ()
    made_from: tuple[Mapping[str, Any], ...] = field(default=())
    """The conversions it came from: source, number of images, checksum of keys and labels."""

    @property
    def num_images(self) -> int:
        """N, excluded ones counted."""
        return sum(shard.num_images for shard in self.shards)

    @property
    def num_identities(self) -> int:
        """C."""
        return sum(file.num_names for file in self.identities)

    def to_json(self) -> bytes:
        """Return the file's bytes."""
        words = {"format": FORMAT, "num_images": self.num_images, "num_identities": self.num_identities, **asdict(self)}
        return (json.dumps(words, ensure_ascii=True, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes, where: str) -> Manifest:
        """Return what the file says.

        Raises:
            InputError: it is damaged, or of another version.
        """
        try:
            words = json.loads(data)
            if not isinstance(words, dict) or words.get("format") != FORMAT:
                raise InputError(f"{where} is not a manifest that this version can read (expected {FORMAT!r}).")
            manifest = cls(
                shards=tuple(ShardEntry(**entry) for entry in words["shards"]),
                identities=tuple(FileEntry(**entry) for entry in words["identities"]),
                exclude=tuple(FileEntry(**entry) for entry in words["exclude"]),
                made_from=tuple(words["made_from"]),
            )
            _refuse_odd(manifest, words)
        except InputError:
            raise
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"{where} is damaged ({error}); convert again.") from error
        return manifest


def _refuse_odd(manifest: Manifest, words: Mapping[str, Any]) -> None:
    entries: tuple[ShardEntry | FileEntry, ...] = (*manifest.shards, *manifest.identities, *manifest.exclude)
    for entry in entries:
        if not isinstance(entry.name, str) or "/" in entry.name or "\\" in entry.name or entry.name.startswith("."):
            raise ValueError(f"{entry.name!r} is not the name of a file beside it")
        if isinstance(entry, ShardEntry):
            num, start, least = entry.num_images, entry.images_end, 20
        else:
            num, start, least = entry.num_names, 16, 4
        if not all(isinstance(number, int) and 0 <= number < 2**63 for number in (num, start, entry.num_bytes)):
            raise ValueError(f"the sizes of {entry.name} are no sizes")
        if start + least * num > entry.num_bytes:  # or it would make the reader take more memory than there are bytes
            raise ValueError(f"{entry.name} cannot hold {num} in {entry.num_bytes} bytes")
    if not all(isinstance(job, dict) for job in manifest.made_from):
        raise ValueError("what it was made from is no list of objects")
    if (manifest.num_images, manifest.num_identities) != (words["num_images"], words["num_identities"]):
        raise ValueError("its counts do not add up")


def names_file(names: Sequence[str]) -> bytes:
    """Return a file of names.

    Raises:
        InputError: 4 GiB of names or more.
    """
    pieces = [name.encode("utf-8", "surrogateescape") for name in names]
    head = NAMES_MAGIC + struct.pack("<Q", len(pieces)) + ends_of(pieces, "the names")
    return head + bytes(padded(len(head)) - len(head)) + b"".join(pieces)


def names_entry(name: str, data: bytes, num_names: int) -> FileEntry:
    """Return what a manifest says of a file of names with these bytes."""
    return FileEntry(name=name, num_names=num_names, num_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def read_names(data: memoryview, num_names: int, where: str) -> NameBlock:
    """Return the names of such a file.

    Raises:
        InputError: it is no such file, or has another number of names.
    """
    start = padded(16 + 4 * (num_names + 1))
    if len(data) < start or data[:8] != NAMES_MAGIC or struct.unpack_from("<Q", data, 8)[0] != num_names:
        raise InputError(f"{where} is damaged: it does not hold {num_names} names; copy or convert it again.")
    return NameBlock(data[16 : 20 + 4 * num_names], data[start:], where=where)


def ends_of(pieces: list[bytes], what: str) -> bytes:
    """Return u32 (n + 1): where each piece begins and ends once they are joined.

    Raises:
        InputError: they are 4 GiB or more.
    """
    ends = np.zeros(len(pieces) + 1, dtype=np.uint64)
    np.cumsum(np.fromiter(map(len, pieces), np.uint64, count=len(pieces)), out=ends[1:])
    if int(ends[-1]) >= 2**32:
        raise InputError(f"{what} take {int(ends[-1])} bytes; the packed format holds less than 4 GiB of them a shard.")
    return ends.astype("<u4").tobytes()
