"""`train.idx` of a RecordIO pack: where each record starts. Text, one `key<tab>byte offset` line a record.

WebFace42M's has 44 million lines, 0.9 GB. Keys and offsets ascend, so lines change their length a few times in a whole
file, and between two changes it is a table of bytes, which numpy turns into numbers in a few passes: in all it takes
little more than reading the file. The result is kept (`index_cache`) and mapped the next time.
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

_CHUNK_BYTES = 2**20
"""Stays in the processor's cache: chunks of 16 MB take half as long again."""
_CHUNK_RECORDS = 1 << 20
_MAX_LINE_BYTES = 64
_MAX_TABLES = 8
"""A chunk whose lines change their length more often is read by a parser of any lines."""
_MAX_DIGITS = 16


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
        num_different = _num_different(keys)
        if num_different != done:
            raise InputError(f"{path}: {done - num_different} keys occur twice; copy it again.")
        arrays["keys"] = keys
    return arrays


def _num_different(keys: npt.NDArray[np.int64]) -> int:
    """Return how many different keys there are: most often those of a range, shuffled, so that marks will do."""
    low, high = int(keys.min()), int(keys.max())
    if high - low >= 8 * len(keys):
        return len(np.unique(keys))
    seen = np.zeros(high - low + 1, np.bool_)
    for first in range(0, len(keys), _CHUNK_RECORDS):
        seen[keys[first : first + _CHUNK_RECORDS] - low] = True
    return int(np.count_nonzero(seen))


def _num_lines(path: str | Path) -> int:
    """Return how many lines there can be at most; one has four bytes or more, so line ends alone take no memory."""
    count = 1
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            count += int(np.count_nonzero(np.frombuffer(chunk, np.uint8) == ord("\n")))  # four times bytes.count
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
            text, rest = (rest + chunk[:cut], chunk[cut:]) if cut else (b"", rest + chunk)
            if text.strip():
                pairs = _pairs(text, path, line)
                yield pairs
                line += len(pairs)
            else:
                line += text.count(b"\n")
        if rest.strip():
            yield _pairs(rest, path, line)


def _pairs(text: bytes, path: str | Path, first_line: int) -> npt.NDArray[np.int64]:
    """Return (lines, 2) numbers."""
    tables: list[npt.NDArray[np.int64]] = []
    place, line = 0, first_line
    while place < len(text):
        table = _table(text, place) if len(tables) < _MAX_TABLES else None
        if table is None:
            tables.append(_any_pairs(text[place:], path, line))
            break
        pairs, width = table
        tables.append(pairs)
        place, line = place + len(pairs) * width, line + len(pairs)
    return tables[0] if len(tables) == 1 else np.concatenate(tables)


def _table(text: bytes, start: int) -> tuple[npt.NDArray[np.int64], int] | None:
    """Return the numbers of the lines from byte `start` on that are like the first of them, and the bytes of each line.

    None where the first line is not `digits<tab>digits<line end>`.
    """
    tab, end = text.find(b"\t", start), text.find(b"\n", start)
    width, of_key, of_offset = end + 1 - start, tab - start, end - tab - 1
    if not (start < tab < end - 1 and of_key <= _MAX_DIGITS and of_offset <= _MAX_DIGITS):
        return None
    num = (len(text) - start) // width
    rows = np.frombuffer(text, np.uint8, num * width, start).reshape(num, width)
    others = np.flatnonzero((rows[:, of_key] != ord("\t")) | (rows[:, -1] != ord("\n")))
    rows = rows[: int(others[0])] if others.size else rows
    if np.count_nonzero(rows - np.uint8(ord("0")) < 10) != len(rows) * (width - 2):  # all but tab and line end
        return None
    return np.stack([_numbers(rows[:, :of_key]), _numbers(rows[:, of_key + 1 : -1])], axis=1), width


def _numbers(digits_ND: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return (N,) the numbers that rows of decimal digits write."""
    numbers = np.zeros(len(digits_ND), np.int64)
    for column in range(digits_ND.shape[1]):  # a table is tall and narrow: few steps, each over many rows
        numbers *= 10
        numbers += digits_ND[:, column]
    return numbers - ord("0") * int("1" * digits_ND.shape[1])


def _any_pairs(text: bytes, path: str | Path, first_line: int) -> npt.NDArray[np.int64]:
    """Return (lines, 2) numbers of lines of any length, with any white space."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            numbers = np.fromstring(text, dtype=np.int64, sep=" ")
        if numbers.size == 2 * (text.rstrip().count(b"\n") + 1) and numbers.min() >= 0:
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
