"""Text lists of images: `path 0 label 0` (MagFace), `path label`, or a CSV/TSV table with the columns path and label.

Every path is looked for when the list is opened: an hour into training is a bad time to learn that one is missing.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from marginface.errors import InputError
from marginface.records.file_at import whole_file
from marginface.records.indexed import IndexedImages, in_order, numbered

_TABLES = {".csv": ",", ".tsv": "\t"}
_MAX_LABEL = 2**63 - 1


class _Line(NamedTuple):
    number: int
    path: str
    label: str


class ImageList(IndexedImages):
    """Images named by a text file. Whole-number labels keep their order, other labels are sorted as names.

    The numbers need not be dense: a list with the labels 3 and 70 has two identities, "3" and "70", which get the
    labels 0 and 1. Keys are the paths as the list writes them.
    """

    def __init__(self, path: str | Path, *, root: str | Path | None = None) -> None:
        """Read the list and look for every image.

        Args:
            path: the list; fields are separated by tabs, or by spaces when its first line has no tab. Blank lines and
                lines that start with `#` are passed over. A `.csv` or `.tsv` file has a header instead.
            root: the folder that relative paths start from; by default the list's own.

        Raises:
            InputError: no such list, a line that cannot be read, a path that is missing or occurs twice, a bad label.
        """
        self.root = os.path.abspath(root if root is not None else Path(path).parent)
        try:
            text = Path(path).read_text(encoding="utf-8-sig")
        except FileNotFoundError as error:
            raise InputError(f"list:{path} does not exist.") from error
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"list:{path} cannot be read as UTF-8 text ({error}).") from error
        delimiter = _TABLES.get(Path(path).suffix.lower())
        try:
            lines = list(_table_lines(text, delimiter, path) if delimiter else _plain_lines(text, path))
        except csv.Error as error:
            raise InputError(f"list:{path} cannot be read as a table ({error}).") from error
        if not lines:
            raise InputError(f"list:{path} names no image; expected lines such as `ada/0001.jpg 0`.")
        _refuse_repeated(lines, path)
        self._refuse_missing(lines, path)
        location = f"list:{path}" if root is None else f"list:{path}?root={root}"
        super().__init__(
            location=location,
            index=numbered(
                keys=[line.path.replace(os.sep, "/") for line in lines],
                identity_of=[line.label for line in lines],
                order=in_order({line.label for line in lines}),
            ),
        )

    def _read(self, index: int) -> bytes:
        return whole_file(os.path.join(self.root, self._keys[index]))

    def _refuse_missing(self, lines: list[_Line], path: str | Path) -> None:
        missing = [line for line in lines if not os.path.isfile(os.path.join(self.root, line.path))]
        if missing:
            first = ", ".join(f"{line.path} (line {line.number})" for line in missing[:3])
            raise InputError(
                f"list:{path}: {len(missing)} of {len(lines)} images are missing under {self.root}, first {first};"
                " give their folder as ?root=DIR if it is another one."
            )


def _plain_lines(text: str, path: str | Path) -> Iterator[_Line]:
    """Yield the samples of a `path 0 label 0` or `path label` list; the first line decides which it is."""
    separator: str | None = None
    num_fields = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not num_fields:
            separator = "\t" if "\t" in line else None
            num_fields = len(line.split(separator))
            if num_fields not in (2, 4):
                raise InputError(
                    f"list:{path}, line {number}: {num_fields} fields; expected `path label` or `path 0 label 0`"
                    " (paths with spaces need tabs between the fields)."
                )
        fields = [field.strip() for field in line.split(separator)]
        if len(fields) != num_fields or not fields[0]:
            raise InputError(f"list:{path}, line {number}: expected {num_fields} fields as above it, got {line!r}.")
        label = fields[2] if num_fields == 4 else fields[1]
        yield _Line(number, fields[0], _checked_label(label, f"list:{path}, line {number}", integer=num_fields == 4))


def _table_lines(text: str, delimiter: str, path: str | Path) -> Iterator[_Line]:
    """Yield the samples of a table; columns other than path and label are passed over."""
    reader = csv.DictReader(text.splitlines(), delimiter=delimiter)
    if not {"path", "label"} <= set(reader.fieldnames or ()):
        raise InputError(f"list:{path}: a table starts with a header that has the columns path and label.")
    for row in reader:
        where = f"list:{path}, line {reader.line_num}"
        if not row["path"]:
            raise InputError(f"{where}: the path is empty.")
        yield _Line(reader.line_num, row["path"], _checked_label(row["label"] or "", where, integer=False))


def _checked_label(label: str, where: str, *, integer: bool) -> str:
    if not label:
        raise InputError(f"{where}: the label is empty.")
    try:
        value = int(label)
    except ValueError:
        if not integer:
            return label
        raise InputError(f"{where}: label {label!r} is not a whole number, as `path 0 label 0` lines need.") from None
    if not 0 <= value <= _MAX_LABEL:
        raise InputError(f"{where}: label {label} is out of range; whole-number labels start at 0.")
    return str(value)  # 007 and 7 are one identity


def _refuse_repeated(lines: list[_Line], path: str | Path) -> None:
    first_seen: dict[str, int] = {}
    for line in lines:
        earlier = first_seen.setdefault(line.path, line.number)
        if earlier != line.number:
            raise InputError(f"list:{path}, line {line.number}: {line.path} is already on line {earlier}; keep one.")
