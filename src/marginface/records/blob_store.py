"""Where the files of a packed set lie: a folder on disk, or an object store behind a local cache."""

from __future__ import annotations

import hashlib
import mmap
import os
import re
from pathlib import Path
from typing import Protocol

from marginface.errors import InputError, WorkError
from marginface.records.file_at import FileAt

_URL = re.compile(r"^[a-z][a-z0-9+.-]+://", re.IGNORECASE)


class Blob(Protocol):
    """A file of known size that is read in parts."""

    size: int
    """Bytes."""

    def read(self, start: int, length: int) -> bytes:
        """Return exactly these bytes; InputError where the file no longer has them."""

    def map(self, start: int, length: int) -> memoryview:
        """Return these bytes as memory that is not copied, where the store can."""


class BlobStore(Protocol):
    """A flat folder of files. Implementations can be pickled, and read in forked processes."""

    location: str
    """As a person would type it."""

    def sizes(self) -> dict[str, int]:
        """Return {name: bytes} of what is there; empty where the folder does not exist."""

    def open(self, name: str, *, stamp: str = "") -> Blob:
        """Return the file. `stamp` names its contents, such as a checksum, so that a cache never mixes two up."""

    def save(self, name: str, data: bytes) -> None:
        """Write a small file so that it is whole or not there."""

    def adopt(self, name: str, finished: Path) -> None:
        """Move a finished local file here, so that it is whole or not there."""

    def remove(self, name: str) -> None:
        """Delete a file; no matter if there is none."""

    def workshop(self) -> Path:
        """Return a local folder in which `adopt`ed files are best written."""


def is_url(path: str) -> bool:
    """Return whether a path names an object store."""
    return bool(_URL.match(path))


def open_store(path: str, *, cache: str | None = None, cache_gb: float = 10.0) -> BlobStore:
    """Return the store that a path or a URL such as s3://bucket/faces names.

    Args:
        path: a folder, or a URL that fsspec knows.
        cache: local folder for what is fetched from a URL; by default one below the user's cache folder.
        cache_gb: it never grows beyond this, 10^9 bytes.

    Raises:
        InputError: a URL that cannot be reached, or cache options for a folder.
    """
    if not is_url(path):
        if cache is not None:
            raise InputError(f"packed:{path} is a folder and is read in place; cache= is for s3:// and other URLs.")
        return LocalFolder(path)
    from marginface.records.remote_store import RemoteFolder

    return RemoteFolder(path, cache=cache, cache_bytes=int(cache_gb * 1e9))


class LocalFolder:
    """A folder on disk."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(os.path.abspath(path))
        self.location = str(path)

    def sizes(self) -> dict[str, int]:
        """Return {name: bytes}; see `BlobStore`."""
        try:
            with os.scandir(self.path) as entries:
                return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise InputError(f"packed:{self.location} cannot be listed ({error.strerror or error}).") from error

    def open(self, name: str, *, stamp: str = "") -> LocalBlob:
        """Return the file; see `BlobStore`."""
        return LocalBlob(self.path / name)

    def save(self, name: str, data: bytes) -> None:
        """Write a small file aside, and rename it."""
        aside = self.workshop() / f".{name}.{os.getpid()}.partial"
        try:
            with open(aside, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, self.path / name)
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise WorkError(f"{self.path / name}: could not be written ({error.strerror or error}).") from error

    def adopt(self, name: str, finished: Path) -> None:
        """Rename the file, which is on the disk by then."""
        try:
            with open(finished, "rb") as file:
                os.fsync(file.fileno())
            os.replace(finished, self.path / name)
        except OSError as error:
            raise WorkError(f"{self.path / name}: could not be written ({error.strerror or error}).") from error

    def remove(self, name: str) -> None:
        """Delete a file; see `BlobStore`."""
        (self.path / name).unlink(missing_ok=True)

    def workshop(self) -> Path:
        """Return the folder itself: renaming needs one file system."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WorkError(f"{self.path}: the folder cannot be made ({error.strerror or error}).") from error
        return self.path


class LocalBlob(FileAt):
    """A file on disk, of which images are read and the index is mapped."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, where=str(path))

    def map(self, start: int, length: int) -> memoryview:
        """Return these bytes, mapped.

        Raises:
            InputError: the file is not that long, or cannot be opened any more.
        """
        if not length:
            return memoryview(b"")
        before = start % mmap.ALLOCATIONGRANULARITY
        try:
            if start + length > os.fstat(self.descriptor).st_size:
                raise InputError(f"{self.where} is cut short: it ends before byte {start + length}; copy it again.")
            mapped = mmap.mmap(self.descriptor, length + before, access=mmap.ACCESS_READ, offset=start - before)
        except OSError as error:
            raise InputError(f"{self.where} cannot be mapped ({error.strerror or error}).") from error
        return memoryview(mapped)[before:]


def sha256_of(blob: Blob, length: int, *, piece: int = 1 << 22) -> str:
    """Return the SHA-256 of the first `length` bytes, in hexadecimal digits."""
    digest = hashlib.sha256()
    for start in range(0, length, piece):
        digest.update(blob.read(start, min(piece, length - start)))
    return digest.hexdigest()
