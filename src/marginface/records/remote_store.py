"""A packed set in an object store: s3://, gs://, https:// and whatever else fsspec knows, behind a bounded cache."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from marginface.errors import InputError, WorkError
from marginface.records.blob_store import LocalBlob
from marginface.records.block_cache import BlockCache

BLOCK_BYTES = 1 << 20
"""What one request fetches: at the latency of object stores less would be no quicker."""


class RemoteFolder:
    """A folder behind a URL. Files with a stamp are fetched in blocks that are kept; others are read as they are."""

    def __init__(self, url: str, *, cache: str | None, cache_bytes: int) -> None:
        """Reach the store.

        Args:
            url: of the folder.
            cache: local folder for what is fetched; by default one below the user's cache folder.
            cache_bytes: it never grows beyond this.

        Raises:
            InputError: fsspec or the package for this kind of URL is not installed.
        """
        self.location = url.rstrip("/")
        folder = cache or f"{os.environ.get('MARGINFACE_HOME') or '~/.cache/marginface'}/blocks"
        self.cache = BlockCache(os.path.expanduser(folder), max_bytes=cache_bytes)
        self._reached: tuple[int, Any, str] | None = None
        self._reach()

    def _reach(self) -> tuple[Any, str]:
        """Return (file system, path in it); a forked process needs connections of its own."""
        if self._reached is None or self._reached[0] != os.getpid():
            try:
                from fsspec.core import url_to_fs
            except ImportError as error:
                raise InputError(f"{self.location} needs fsspec: pip install 'marginface[object-store]'.") from error
            try:
                files, root = url_to_fs(self.location)
            except (ImportError, ValueError) as error:
                raise InputError(f"{self.location} cannot be opened ({error}).") from error
            self._reached = (os.getpid(), files, root.rstrip("/"))
        return self._reached[1], self._reached[2]

    def sizes(self) -> dict[str, int]:
        """Return {name: bytes}; see `BlobStore`."""
        files, root = self._reach()
        try:
            files.invalidate_cache(root)
            entries = files.ls(root, detail=True)
        except FileNotFoundError:
            return {}
        except Exception as error:  # each kind of store has errors of its own
            raise InputError(f"{self.location} cannot be listed ({error}).") from error
        return {
            entry["name"].rsplit("/", 1)[-1]: int(entry["size"] or 0) for entry in entries if entry["type"] == "file"
        }

    def open(self, name: str, *, stamp: str = "") -> RemoteBlob:
        """Return the file; see `BlobStore`."""
        return RemoteBlob(self, name, stamp=stamp)

    def size(self, name: str) -> int:
        """Return the bytes of a file.

        Raises:
            InputError: there is none, or the store does not answer.
        """
        files, root = self._reach()
        try:
            return int(files.size(f"{root}/{name}"))
        except Exception as error:
            raise InputError(f"{self.location}/{name} cannot be opened ({error}).") from error

    def fetch(self, name: str, start: int, end: int) -> bytes:
        """Return these bytes from the store.

        Raises:
            WorkError: it does not answer, or with fewer.
        """
        files, root = self._reach()
        try:
            data = bytes(files.cat_file(f"{root}/{name}", start=start, end=end)) if end > start else b""
        except Exception as error:
            raise WorkError(f"{self.location}/{name} could not be read ({error}); start again, it goes on.") from error
        if len(data) != end - start:
            raise WorkError(f"{self.location}/{name}: {end - start} bytes were asked for and {len(data)} came.")
        return data

    def save(self, name: str, data: bytes) -> None:
        """Write a small file; object stores show it whole or not at all."""
        files, root = self._reach()
        try:
            files.makedirs(root, exist_ok=True)
            files.pipe_file(f"{root}/{name}", data)
        except Exception as error:
            raise WorkError(f"{self.location}/{name} could not be written ({error}).") from error

    def adopt(self, name: str, finished: Path) -> None:
        """Send a finished local file, and delete it here."""
        files, root = self._reach()
        try:
            files.makedirs(root, exist_ok=True)
            files.put_file(str(finished), f"{root}/{name}")
        except Exception as error:
            raise WorkError(f"{self.location}/{name} could not be written ({error}).") from error
        finished.unlink()

    def remove(self, name: str) -> None:
        """Delete a file; see `BlobStore`."""
        files, root = self._reach()
        try:
            files.rm_file(f"{root}/{name}")
        except FileNotFoundError:
            return
        except Exception as error:
            raise WorkError(f"{self.location}/{name} could not be deleted ({error}).") from error

    def workshop(self) -> Path:
        """Return a local folder for shards that are being written; they lie outside the bound until they are sent."""
        folder = self.cache.folder / "outgoing"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def __getstate__(self) -> dict[str, Any]:
        """Leave the connections out: another process makes its own."""
        return {**self.__dict__, "_reached": None}


class RemoteBlob:
    """A file in an object store."""

    def __init__(self, store: RemoteFolder, name: str, *, stamp: str) -> None:
        self._store, self._name, self._stamp = store, name, stamp
        self.size = store.size(name)

    def read(self, start: int, length: int) -> bytes:
        """Return exactly these bytes; see `Blob`."""
        if start + length > self.size:
            raise InputError(f"{self._where} is cut short: it ends before byte {start + length}; copy it again.")
        if not self._stamp:
            return self._store.fetch(self._name, start, start + length)
        return b"".join(self._parts(start, start + length))

    def map(self, start: int, length: int) -> memoryview:
        """Return these bytes, fetched once and mapped from the cache."""
        if start + length > self.size:
            raise InputError(f"{self._where} is cut short: it ends before byte {start + length}; copy it again.")
        pieces = range(start, start + length, 8 * BLOCK_BYTES)
        path = self._store.cache.whole(
            f"{self._where} {self._stamp} {start}",
            length,
            lambda: (
                self._store.fetch(self._name, place, min(place + 8 * BLOCK_BYTES, start + length)) for place in pieces
            ),
        )
        return LocalBlob(path).map(0, length)

    def _parts(self, start: int, end: int) -> Iterator[bytes]:
        for block in range(start // BLOCK_BYTES, -(-end // BLOCK_BYTES)):
            first, last = block * BLOCK_BYTES, min((block + 1) * BLOCK_BYTES, self.size)
            yield self._store.cache.read(
                f"{self._where} {self._stamp} {block}",
                last - first,
                max(start - first, 0),
                min(end, last) - first,
                partial(self._store.fetch, self._name, first, last),
            )

    @property
    def _where(self) -> str:
        return f"{self._store.location}/{self._name}"
