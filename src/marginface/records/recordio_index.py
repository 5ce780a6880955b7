"""`train.idx` of a RecordIO pack: where each record starts. Text, one `key<tab>byte offset` line a record.

WebFace42M's has 44 million lines, 0.9 GB. Numpy reads a million lines in a quarter of a second; the result is kept
(`index_cache`) and mapped the next time.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.records.file_at import FileAt
from marginface.records.index_cache import Arrays, cached, stamp_of

_CHUNK_BYTES = 16 * 2**20
_CHUNK_RECORDS = 1 << 20
_MAX_LINE_BYTES = 64


@dataclass(frozen=True, eq=False)
class RecordIndex:
    """The E records of a pack in the order in which they lie."""

    keys: npt.NDArray[np.int64] | None
    """(E,), or None where they count up from `first_key`."""
    first_key: int
    offsets: npt.NDArray[np.int64]
    """(E + 1,) first byte of each record, and the size of the file."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def key(self, entry: int) -> int:
        """Return the key of record number `entry`, 0..E-1."""
        return self.first_key + entry if self.keys is None else int(self.keys[entry])


def read_index(path: str | Path, rec: FileAt) -> RecordIndex:
    """Return the index of the pack `rec`.

    Raises:
        InputError: missing, empty, a line that is no pair of numbers, offsets that do not ascend or lie outside the
            file.
    """
    if not os.path.isfile(path):
        raise InputError(f"{rec.where}: its index {path} is missing; it belongs beside the .rec file.")
    try:
        stamp = f"{stamp_of(path)} of {rec.size}"
        arrays = cached("recordio index", path, stamp, lambda: _parsed(path, rec))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error}).") from error
    first = arrays["first_key"]
    return RecordIndex(keys=arrays.get("keys"), first_key=int(first[0]), offsets=arrays["offsets"])


def _parsed(path: str | Path, rec: FileAt) -> Arrays:
    num_lines = _num_lines(path)
    offsets = np.empty(num_lines + 1, np.int64)
    keys: npt.NDArray[np.int64] | None = None  # only once they do not count up by one: half the memory
    first_key, done = 0, 0
    for pairs in _chunks(path):
        if not done:
            first_key = int(pairs[0, 0])
        part = slice(done, done + len(pairs))
        counting = np.arange(first_key + done, first_key + done + len(pairs))
        if keys is None and not np.array_equal(pairs[:, 0], counting):
            keys = np.arange(first_key, first_key + num_lines)
        if keys is not None:
            keys[part] = pairs[:, 0]
        offsets[part] = pairs[:, 1]
        done += len(pairs)
    if not done:
        raise InputError(f"{path} is empty; copy it again.")
    offsets = offsets[: done + 1]
    offsets[done] = rec.size
    _check_ascending(offsets, path, rec)
    arrays = {"offsets": offsets, "first_key": np.array([first_key])}
    if keys is not None:
        keys = keys[:done]
        if len(np.unique(keys)) != done:
            raise InputError(f"{path}: {done - len(np.unique(keys))} keys occur twice; copy it again.")
        arrays["keys"] = keys
    return arrays


def _num_lines(path: str | Path) -> int:
    """Return how many lines there can be at most; one has four bytes or more, so line ends alone take no memory."""
    count = 1
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            count += chunk.count(b"\n")
        return min(count, file.tell() // 4 + 1)


def _chunks(path: str | Path) -> Iterator[npt.NDArray[np.int64]]:
    """Yield (lines, 2) int64 arrays of keys and offsets."""
    line = 1
    with open(path, "rb") as file:
        rest = b""
        while chunk := file.read(_CHUNK_BYTES):
            cut = chunk.rfind(b"\n") + 1
            if not cut and len(rest) + len(chunk) > _MAX_LINE_BYTES:
                raise InputError(f"{path}, line {line}: no line end; this is no RecordIO index.")
            text, rest = rest + chunk[:cut], chunk[cut:] if cut else rest + chunk
            if text.strip():
                yield _pairs(text, path, line)
            line += text.count(b"\n")
        if rest.strip():
            yield _pairs(rest, path, line)


def _pairs(text: bytes, path: str | Path, first_line: int) -> npt.NDArray[np.int64]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            numbers = np.fromstring(text, dtype=np.int64, sep=" ")
        if numbers.size == 2 * (text.rstrip().count(b"\n") + 1):
            return numbers.reshape(-1, 2)
    except (ValueError, DeprecationWarning):
        pass
    for number, line in enumerate(text.splitlines(), start=first_line):
        fields = line.split()
        if len(fields) != 2 or not all(field.isdigit() for field in fields):
            shown = line[:60].decode("utf-8", "replace")
            raise InputError(f"{path}, line {number}: expected `key offset`, two whole numbers, got {shown!r}.")
    raise InputError(f"{path}, from line {first_line}: this is no RecordIO index.")


def _check_ascending(offsets: npt.NDArray[np.int64], path: str | Path, rec: FileAt) -> None:
    for first in range(0, len(offsets) - 1, _CHUNK_RECORDS):
        part = offsets[first : first + _CHUNK_RECORDS + 1]
        wrong = np.flatnonzero(part[1:] <= part[:-1]) if part[0] >= 0 else np.zeros(1, np.int64)
        if wrong.size:
            _refuse_offsets(offsets, first + int(wrong[0]), path, rec)


def _refuse_offsets(offsets: npt.NDArray[np.int64], entry: int, path: str | Path, rec: FileAt) -> None:
    if entry == len(offsets) - 2 or offsets[entry + 1] >= rec.size:
        raise InputError(
            f"{rec.where} is cut short: it has {rec.size:,} bytes, record {entry} of its index starts at byte"
            f" {offsets[entry]:,}; copy it again."
        )
    raise InputError(
        f"{path}, line {entry + 2}: offset {offsets[entry + 1]:,} does not follow {offsets[entry]:,}; offsets ascend."
    )
