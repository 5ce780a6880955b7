"""CVLface's verification sets: arrow folders with the columns image, index and is_same.

Rows 2i and 2i + 1, in the order of `index`, are pair i, and both say whether it is mated. (Its IJB and TinyFace
folders say who is who in a `metadata.pt` instead; their protocols come with lists of their own.)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.records.arrow_files import Table
from marginface.records.image_pairs import PairedImages, checked_is_mated
from marginface.records.parquet import TableImages, image_of, open_table
from marginface.records.record import RecordSource

_MARK = "is_same"


class RowImages(Sequence[bytes]):
    """The encoded images of some rows of a table, read when asked for."""

    def __init__(self, table: Table, rows: npt.NDArray[np.int64], column: str, where: str) -> None:
        self._table, self._rows, self._column, self._where = table, rows, column, where

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        """Return an image's bytes.

        Raises:
            InputError: the row cannot be read, or holds no image.
        """
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return image_of(self._table, int(self._rows[index]), self._column, self._where)


def open_cvlface(path: str | Path, **options: str) -> RecordSource:
    """Return a table's records: those of a verification set with its `pairs` where it has the column is_same, else
    plain.

    Raises:
        InputError: see `TableImages`; or marks that do not fit the images.
    """
    if "label" in options:
        return TableImages(path, **options)
    table, location = open_table(path, options.get("image"), None, options.get("split"))
    if _MARK not in table.columns:
        return TableImages(path, **options)
    image = options.get("image", "image")
    if image not in table.columns:
        raise InputError(f"{location} has no column {image!r}; say ?image=NAME.")
    marks = np.asarray(table.column(_MARK).to_pylist())
    rows = np.arange(len(marks))
    if "index" in table.columns:
        order = np.asarray(table.column("index").to_pylist())
        if sorted(order.tolist(), key=str) != sorted(rows.tolist(), key=str):
            raise InputError(f"{location}: its column 'index' does not number the rows from 0.")
        rows = np.argsort(order)
    marks = marks[rows]
    differ = np.flatnonzero(marks[: len(marks) // 2 * 2 : 2] != marks[1::2])
    if differ.size:
        raise InputError(f"{location}: the two images of pair {differ[0]} disagree about being of one person.")
    is_mated = checked_is_mated(marks[::2], len(marks), location)
    return PairedImages(location=location, images=RowImages(table, rows, image, location), is_mated=is_mated)
