"""A folder that keeps pieces of far-away files and never grows beyond its bound; many processes may share it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from marginface.errors import InputError, WorkError
from marginface.records.write_aside import locked


class BlockCache:
    """Least recently used pieces make way for new ones. A piece is written aside and renamed, so it is always whole."""

    def __init__(self, folder: str | Path, *, max_bytes: int) -> None:
        """Make the folder and count what it holds.

        Args:
            folder: for this cache alone.
            max_bytes: what lies in it never exceeds this.

        Raises:
            WorkError: the folder cannot be made.
        """
        self.folder, self.max_bytes = Path(folder), max_bytes
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._locked():
                for leftover in self.folder.glob("*.partial"):
                    leftover.unlink(missing_ok=True)  # of a process that was killed: living ones write under the lock
                self._set_used(sum(size for _, size, _ in self._pieces()))
        except OSError as error:
            raise WorkError(f"{folder}: no cache can be kept here ({error.strerror or error}).") from error

    def read(self, name: str, length: int, start: int, end: int, fetch: Callable[[], bytes]) -> bytes:
        """Return bytes `start` to `end` of the piece `name`, which is fetched if it is not here.

        Args:
            name: what tells the piece from all others.
            length: of the whole piece, bytes.
            start: first byte wanted.
            end: one past the last.
            fetch: gives the whole piece.

        Raises:
            WorkError: the piece could not be written.
        """
        path = self._path(name, "block")
        try:
            with open(path, "rb", buffering=0) as file:
                if os.fstat(file.fileno()).st_size == length:
                    os.utime(file.fileno())
                    return os.pread(file.fileno(), end - start, start)
        except FileNotFoundError:
            pass
        piece = fetch()
        if length <= self.max_bytes:
            self._keep(path, length, lambda: iter((piece,)))
        return piece[start:end]

    def whole(self, name: str, length: int, fetch: Callable[[], Iterator[bytes]]) -> Path:
        """Return the path of a piece that has to be a file, such as an index that is mapped; it makes way last.

        Raises:
            InputError: it is larger than the whole cache.
            WorkError: it could not be written.
        """
        if length > self.max_bytes:
            raise InputError(
                f"{self.folder}: a cache of {self.max_bytes / 1e9:g} GB cannot hold an index of {length / 1e9:g} GB;"
                " give more with cache_gb=."
            )
        path = self._path(name, "index")
        if not path.exists() or path.stat().st_size != length:
            self._keep(path, length, fetch)
        return path

    def used(self) -> int:
        """Return how many bytes are here."""
        with self._locked():
            return self._used()

    def _keep(self, path: Path, length: int, fetch: Callable[[], Iterator[bytes]]) -> None:
        aside = path.with_name(f"{path.name}.partial")
        try:
            with self._locked():
                if path.exists() and path.stat().st_size == length:
                    return
                self._make_room(length)
                with open(aside, "wb") as file:
                    for part in fetch():
                        file.write(part)
                os.replace(aside, path)
                self._set_used(self._used() + length)
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise WorkError(f"{path}: could not be written ({error.strerror or error}).") from error

    def _make_room(self, length: int) -> None:
        """Delete the least recently used pieces until `length` bytes fit, and some more: a scan costs its time."""
        if self._used() + length <= self.max_bytes:
            return
        pieces = sorted(self._pieces())
        used = sum(size for _, size, _ in pieces)
        goal = min(self.max_bytes - length, int(0.9 * self.max_bytes))
        for _, size, path in pieces:
            if used <= goal:
                break
            path.unlink(missing_ok=True)
            used -= size
        self._set_used(used)

    def _pieces(self) -> Iterator[tuple[tuple[bool, int], int, Path]]:
        """Yield ((is an index, last use in ns), bytes, path) of each piece."""
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith((".block", ".index")):
                    status = entry.stat()
                    yield (entry.name.endswith(".index"), status.st_mtime_ns), status.st_size, Path(entry.path)

    def _path(self, name: str, suffix: str) -> Path:
        return self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:40]}.{suffix}"

    def _used(self) -> int:
        try:
            return int((self.folder / "used").read_text())
        except (FileNotFoundError, ValueError):
            return sum(size for _, size, _ in self._pieces())

    def _set_used(self, used: int) -> None:
        (self.folder / "used").write_text(str(used))

    def _locked(self) -> AbstractContextManager[None]:
        return locked(self.folder / "lock")
