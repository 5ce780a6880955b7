"""Rows of arrow and parquet files by number. Files are opened again after pickling and in forked workers."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from marginface.errors import InputError

MAX_GROUP_BYTES = 4 * 2**30
"""Larger row groups are refused: a group is decoded whole."""


def require_pyarrow() -> Any:
    """Return the package pyarrow, with its readers of both kinds of file.

    Raises:
        InputError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError as error:
        raise InputError("Parquet and arrow files need pyarrow: pip install 'marginface[parquet]'.") from error
    return pyarrow


class Table(ABC):
    """Rows of one or more files with the same columns."""

    def __init__(self, paths: Sequence[Path], where: str) -> None:
        self._paths, self._where = list(paths), where
        require_pyarrow()
        self._opened: tuple[int, Any] | None = None
        schemas = [self._schema_of(number) for number in range(len(self._paths))]
        different = [i for i, schema in enumerate(schemas) if schema.names != schemas[0].names]
        if different:
            raise InputError(f"{where}: {self._paths[different[0]]} has other columns than {self._paths[0]}.")
        self._schema = schemas[0]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self._schema.names)

    def column_type(self, name: str) -> Any:
        """Return arrow's type of a column."""
        return self._schema.field(name).type

    def class_names(self, column: str) -> list[str] | None:
        """Return the names of the numbers in a `ClassLabel` column, as Hugging Face keeps them in the schema."""
        try:
            told = json.loads((self._schema.metadata or {})[b"huggingface"])
            names = told["info"]["features"][column]["names"]
        except (KeyError, ValueError, TypeError, RecursionError):
            return None
        return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None

    def column(self, name: str) -> Any:
        """Return a whole column, a ChunkedArray.

        Raises:
            InputError: a file is damaged.
        """
        return self._guarded(lambda: self._column(name), f"the column {name!r}")

    def row(self, index: int, columns: Sequence[str]) -> dict[str, Any]:
        """Return some columns of a row as Python values.

        Raises:
            InputError: a file is damaged.
        """
        return dict(self._guarded(lambda: self._row(index, columns), f"row {index}"))

    def _guarded(self, read: Any, what: str) -> Any:
        try:
            return read()
        except (OSError, ValueError, KeyError, IndexError, require_pyarrow().ArrowException) as error:
            if isinstance(error, InputError):
                raise
            reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise InputError(f"{self._where}: {what} cannot be read ({reason}).") from error

    def _here(self) -> Any:
        """Return what `_open` gave in this process."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), self._open())
        return self._opened[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    @abstractmethod
    def _schema_of(self, number: int) -> Any: ...
    @abstractmethod
    def _open(self) -> Any: ...
    @abstractmethod
    def _column(self, name: str) -> Any: ...
    @abstractmethod
    def _row(self, index: int, columns: Sequence[str]) -> dict[str, Any]: ...


class ArrowFiles(Table):
    """Arrow's stream format, mapped: nothing is decoded until a row is asked for."""

    def _schema_of(self, number: int) -> Any:
        path = self._paths[number]
        return self._guarded(lambda: self._stream(path).schema, f"{path.name}, which should be an arrow stream,")

    def _stream(self, path: Path) -> Any:
        arrow = require_pyarrow()
        return arrow.ipc.open_stream(arrow.memory_map(str(path)))

    def _open(self) -> Any:
        arrow = require_pyarrow()
        table = arrow.concat_tables([self._stream(path).read_all() for path in self._paths])
        table.validate()  # offsets that a damaged file gets wrong are found here and not by a crash
        return table

    def _column(self, name: str) -> Any:
        column = self._here().column(name)
        column.validate(full=True)
        return column

    def _row(self, index: int, columns: Sequence[str]) -> dict[str, Any]:
        table = self._here().select(list(columns)).slice(index, 1)
        table.validate(full=True)
        return dict(table.to_pylist()[0])


class ParquetFiles(Table):
    """Parquet files; the row group that was read last is held."""

    def __init__(self, paths: Sequence[Path], where: str) -> None:
        super().__init__(paths, where)
        self._groups: list[tuple[int, int]] = []
        """(file, row group) of each group."""
        self._starts = [0]
        for number, path in enumerate(self._paths):
            metadata = self._guarded(lambda path=path: self._parquet(path).metadata, str(path))
            for group in range(metadata.num_row_groups):
                about = metadata.row_group(group)
                if about.total_byte_size > MAX_GROUP_BYTES:
                    raise InputError(
                        f"{where}: row group {group} of {path.name} takes {about.total_byte_size:,} bytes decoded,"
                        " more than"
                        f" {MAX_GROUP_BYTES:,}; write it with smaller groups."
                    )
                self._groups.append((number, group))
                self._starts.append(self._starts[-1] + about.num_rows)
        self._held: tuple[int, tuple[str, ...], Any] | None = None

    def _parquet(self, path: Path) -> Any:
        return require_pyarrow().parquet.ParquetFile(path)

    def _schema_of(self, number: int) -> Any:
        path = self._paths[number]
        return self._guarded(lambda: self._parquet(path).schema_arrow, f"{path.name}, which should be a parquet file,")

    def _open(self) -> Any:
        return [self._parquet(path) for path in self._paths]

    def _column(self, name: str) -> Any:
        arrow = require_pyarrow()
        return arrow.chunked_array(
            [chunk for file in self._here() for chunk in file.read(columns=[name]).column(name).chunks],
            type=self.column_type(name),
        )

    def _row(self, index: int, columns: Sequence[str]) -> dict[str, Any]:
        number = bisect_right(self._starts, index) - 1
        wanted = tuple(columns)
        held = self._held
        if held is None or held[:2] != (number, wanted):
            file, group = self._groups[number]
            held = self._held = (
                number,
                wanted,
                self._here()[file].read_row_group(group, columns=list(columns), use_threads=False),
            )
        return dict(held[2].slice(index - self._starts[number], 1).to_pylist()[0])

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_held": None}
