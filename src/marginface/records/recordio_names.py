"""What the images of a RecordIO pack are called: its numbers, or the lines of mxnet's list beside it."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.records.file_at import FileAt
from marginface.records.index_cache import Arrays, cached, stamp_of
from marginface.records.names import Names

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 16 * 2**20
_TEXT_BYTES = 256 * 2**20
"""Lists up to this size (four million images) are held; longer ones are read line by line."""


class KeyNames(Names):
    """The keys of a pack as names: "1", "2", ..."""

    def __init__(self, keys: npt.NDArray[np.int64] | None, first: int, num: int) -> None:
        self._keys, self._first, self._num = keys, first, num

    def __len__(self) -> int:
        return self._num

    def name_at(self, index: int) -> str:
        return str(self._first + index if self._keys is None else int(self._keys[index]))


class ListedNames(Names):
    """The third fields of a list `index<tab>label<tab>path`, looked up when asked for."""

    def __init__(self, file: FileAt, starts: npt.NDArray[np.int64], numbers: Names) -> None:
        """Keep the pieces.

        Args:
            file: the list.
            starts: (N + 1,) first byte of each line, and the end of the last.
            numbers: (N,) the pack's keys, which the first fields must be.
        """
        self._file, self._starts, self._numbers = file, starts, numbers
        self._text = file.read(0, file.size, "the list") if file.size <= _TEXT_BYTES else None

    def __len__(self) -> int:
        return len(self._starts) - 1

    def name_at(self, index: int) -> str:
        start, end = int(self._starts[index]), int(self._starts[index + 1])
        stored = self._text[start:end] if self._text else self._file.read(start, end - start, f"line {index + 1}")
        fields = stored.decode("utf-8", "surrogateescape").rstrip("\r\n").split("\t")
        if len(fields) < 3 or fields[0] != self._numbers[index]:
            raise InputError(
                f"{self._file.where}, line {index + 1}: expected key {self._numbers[index]}, label and path;"
                " open the pack with ?names=numbers to leave this list alone."
            )
        return fields[-1]

    def identity(self, index: int) -> str:
        """Return the folder of image `index`, which is the name of its identity."""
        folder, _, _ = self[index].rpartition("/")
        return folder.partition("/")[0] if not folder.startswith("/") else folder.rpartition("/")[2]


def listed_names(path: Path, numbers: Names) -> ListedNames | None:
    """Return the names of a list, or None with a warning where it is not one of mxnet's about this pack."""
    file = FileAt(path, where=str(path))
    starts = cached("recordio list", path, stamp_of(path), lambda: _line_starts(path))["starts"]
    if len(starts) - 1 == len(numbers):
        names = ListedNames(file, starts, numbers)
        try:
            if all("/" in names[i] for i in (0, len(names) // 2, -1)):
                return names
        except InputError:
            pass
    logger.warning("%s is no list `index, label, path` of this pack; its images are named by their numbers", path)
    return None


def _line_starts(path: Path) -> Arrays:
    pieces = [np.zeros(1, np.int64)]
    done = 0
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            pieces.append(done + 1 + np.flatnonzero(np.frombuffer(chunk, np.uint8) == ord("\n")))
            done += len(chunk)
    starts = np.concatenate(pieces)
    return {"starts": starts if starts[-1] == done else np.append(starts, done)}
