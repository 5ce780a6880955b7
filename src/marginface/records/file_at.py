"""Bytes at a place of a file: one `pread`, safe from threads and forked workers; a pickle opens the file again.

Not a memory map: a file that shrinks while it is mapped kills the process, here it is an error in words. The bytes come
from the same page cache and cost the same.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import Any

from marginface.errors import InputError


def whole_file(path: str) -> bytes:
    """Return the bytes of a file, in four system calls: a file object makes twice as many, which small images feel.

    Raises:
        OSError: it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        return os.read(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


class FileAt:
    """A file that is opened when first read, and refused if it has changed its size since it was found."""

    def __init__(self, path: str | Path, *, where: str) -> None:
        """Look at the file.

        Args:
            path: of the file.
            where: what to call it in messages.

        Raises:
            InputError: it is not there.
        """
        self.path, self.where = os.path.abspath(path), where
        try:
            self.size = os.path.getsize(self.path)
        except FileNotFoundError as error:
            raise InputError(f"{where} does not exist.") from error
        except OSError as error:
            raise InputError(f"{where} cannot be read ({error.strerror or error}).") from error
        self._descriptor: int | None = None

    def read(self, start: int, length: int, name: str = "what it should hold") -> bytes:
        """Return `length` bytes from `start`.

        Args:
            start: from the start of the file.
            length: bytes; asked for beyond the end is refused, so no more than the file's size is ever taken.
            name: what is read, for messages.

        Raises:
            InputError: beyond the end, or the file changed, or cannot be read any more.
        """
        if start < 0 or length < 0 or start + length > self.size:
            raise InputError(f"{self.where}: {name} goes beyond the end of the file ({self.size:,} bytes).")
        try:
            data = os.pread(self._descriptor or self.descriptor, length, start)
        except OSError as error:
            raise InputError(f"{self.where}: {name} cannot be read any more ({error}).") from error
        if len(data) != length:
            raise InputError(f"{self.where}: {name} is cut short; the file shrank after it was opened.")
        return data

    @property
    def descriptor(self) -> int:
        """Of the file, which is opened when first asked for it.

        Raises:
            InputError: it has another size by now.
            OSError: it cannot be opened.
        """
        if self._descriptor is None:
            descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            weakref.finalize(self, os.close, descriptor)
            if os.fstat(descriptor).st_size != self.size:
                raise InputError(f"{self.where} changed after it was opened; start again.")
            self._descriptor = descriptor
        return self._descriptor

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_descriptor": None}
