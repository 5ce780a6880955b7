"""Rows as CSV or JSON, written aside and renamed."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from marginface.errors import InputError, WorkError


def write_rows(path: str | Path, rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str]) -> None:
    """Write rows as the suffix says: .csv with a header, or .json as a list of objects.

    Raises:
        InputError: another suffix.
        WorkError: the file could not be written.
    """
    path = Path(path)
    check_suffix(path)
    if path.suffix.lower() == ".json":
        text = json.dumps([dict(row) for row in rows], indent=1, ensure_ascii=False) + "\n"
    else:
        lines = io.StringIO(newline="")
        writer = csv.DictWriter(lines, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _harmless(value) for key, value in row.items()} for row in rows)
        text = lines.getvalue()
    write_whole(path, text)


def check_suffix(path: str | Path) -> None:
    """Refuse a file that `write_rows` cannot write, before the work that fills it.

    Raises:
        InputError: neither .csv nor .json.
    """
    if Path(path).suffix.lower() not in (".csv", ".json"):
        raise InputError(f"{path}: the suffix says how rows are written; give a name that ends in .csv or .json.")


def write_whole(path: Path, text: str) -> None:
    """Write a text file that is whole whenever it is there.

    Raises:
        WorkError: it could not be written.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(text, encoding="utf-8")
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise WorkError(f"{path}: could not be written ({error.strerror or error}).") from error


def _harmless(value: Any) -> Any:
    """Return a cell that a spreadsheet does not run: a photograph may be called `=cmd()`."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
