"""Hugging Face style tables: parquet files, folders of them, and the arrow folders of `Dataset.save_to_disk`.

The image column holds encoded bytes, or a struct {bytes, path}; the label column whole numbers (with names in the
schema's `ClassLabel`, where there are any) or names. Needs pyarrow.

Arrow files are mapped, and any row is at hand. Parquet is read a row group at a time: in random order that decodes a
whole group an image, so train on another form (`marginface data convert`). One group is held at a time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError, one_of
from marginface.records.arrow_files import ArrowFiles, ParquetFiles, Table, require_pyarrow
from marginface.records.indexed import in_order
from marginface.records.listed import ListedRecords
from marginface.records.names import Names
from marginface.records.record import Record
from marginface.records.recordio_names import KeyNames

_IMAGE_COLUMNS = ("image", "img", "jpg", "png", "webp")
_MAX_STATE_BYTES = 1 << 26
_LABEL_COLUMNS = ("label", "labels", "cls", "identity", "person", "id")


class TableImages(ListedRecords):
    """The images of a table in the order of its rows.

    Keys are the column `key`, where there is one, else the numbers of the rows. Rows come with `landmarks` where a
    column of that name has ten numbers each.
    """

    def __init__(
        self, path: str | Path, *, image: str | None = None, label: str | None = None, split: str | None = None
    ) -> None:
        """Read the schema and the labels.

        Args:
            path: a `.parquet` file, a folder of them, or a folder that `save_to_disk` wrote.
            image: name of the image column; by default the one that is called like one.
            label: name of the label column; by default the one that is called like one.
            split: which split of a folder with several, such as train.

        Raises:
            InputError: pyarrow is absent, no such table, a damaged file, or a column that is missing or holds
                something else.
        """
        self._table, self._location = open_table(path, image, label, split)
        columns = self._table.columns
        self._image = _chosen(columns, image, _IMAGE_COLUMNS, "image", self._location)
        label_column = _chosen(columns, label, _LABEL_COLUMNS, "label", self._location)
        self._landmarks = "landmarks" if "landmarks" in columns else None
        self._labels, self._identities = self._read_labels(label_column)
        if not len(self._labels):
            raise InputError(f"{self._location} has no row.")
        self._labels.flags.writeable = False
        self._keys = self._read_keys()

    def __getitem__(self, index: int) -> Record:
        """Return the record of a row.

        Raises:
            IndexError: outside -N..N-1.
            InputError: the row cannot be read, or holds no image.
        """
        index = self._counted(index)
        wanted = [self._image] if self._landmarks is None else [self._image, self._landmarks]
        row = self._table.row(index, wanted)
        image = _checked_image(row[self._image], index, self._image, self.location)
        label = int(self._labels[index])
        points = row.get(self._landmarks or "")
        return Record(
            key=self._keys[index],
            image=image,
            label=label,
            identity=self._identities[label],
            landmarks=_five_points(points, f"{self.location}: row {index}"),
        )

    def _read_labels(self, column: str) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
        values = self._table.column(column)
        where = f"{self.location}: the column {column!r}"
        if values.null_count:
            raise InputError(f"{where} has {values.null_count} empty rows; every image needs a label.")
        types = require_pyarrow().types
        if types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        if types.is_integer(values.type):
            return _dense(values.to_numpy().astype(np.int64), self._table.class_names(column), where)
        if not (types.is_string(values.type) or types.is_large_string(values.type)):
            raise InputError(f"{where} holds {values.type}; whole numbers or names are expected.")
        names = values.to_pylist()
        order = in_order(set(names))
        number = {name: i for i, name in enumerate(order)}
        return np.fromiter((number[name] for name in names), np.int64, count=len(names)), tuple(order)

    def _read_keys(self) -> Sequence[str]:
        rows: Names = KeyNames(None, 0, len(self))
        if "key" not in self._table.columns or str(self._table.column_type("key")) != "string":
            return rows
        keys = tuple(self._table.column("key").to_pylist())
        if None in keys or len(set(keys)) != len(keys):
            raise InputError(f"{self.location}: its column 'key' has keys that are empty or occur twice.")
        return keys


def open_table(path: str | Path, image: str | None, label: str | None, split: str | None) -> tuple[Table, str]:
    """Return a table, and what to call it; see `TableImages`."""
    options = {"image": image, "label": label, "split": split}
    query = "&".join(f"{name}={value}" for name, value in options.items() if value is not None)
    location = f"parquet:{path}" + (f"?{query}" if query else "")
    return _table(Path(path), split, location), location


def image_of(table: Table, row: int, column: str, where: str) -> bytes:
    """Return the encoded image in a row.

    Raises:
        InputError: the row cannot be read, or holds no image.
    """
    return _checked_image(table.row(row, [column])[column], row, column, where)


def _checked_image(image: Any, row: int, column: str, where: str) -> bytes:
    if isinstance(image, dict):
        image = image.get("bytes")
    if not isinstance(image, bytes):
        raise InputError(f"{where}: row {row} holds no image (bytes) in its column {column!r}.")
    return image


def _dense(
    labels: npt.NDArray[np.int64], names: list[str] | None, where: str
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Return labels 0..C-1 and their names."""
    if labels.size and labels.min() < 0:
        raise InputError(f"{where} has the label {labels.min()} in row {int(labels.argmin())}; labels start at 0.")
    if names is not None and (not labels.size or labels.max() < len(names)):
        return labels, tuple(names)
    numbers, dense = np.unique(labels, return_inverse=True)
    return dense.astype(np.int64), tuple(map(str, numbers.tolist()))


def _chosen(columns: Sequence[str], given: str | None, usual: Sequence[str], what: str, where: str) -> str:
    if given is not None:
        if given not in columns:
            raise InputError(f"{where} has no column {given!r}{one_of(given, tuple(columns))}.")
        return given
    for name in usual:
        if name in columns:
            return name
    raise InputError(f"{where}: which column is the {what}? Say ?{what}=NAME; there are {', '.join(columns)[:300]}.")


def _five_points(values: Any, where: str) -> npt.NDArray[np.float32] | None:
    try:
        return None if values is None else np.array(values, np.float32).reshape(5, 2)
    except (ValueError, TypeError) as error:
        raise InputError(f"{where} has landmarks that are not five points of two numbers ({error}).") from error


def _table(path: Path, split: str | None, where: str) -> Table:
    """Return the table that a path holds."""
    if path.is_file():
        return ParquetFiles([path], where)
    if not path.is_dir():
        raise InputError(f"{where} does not exist; expected a parquet file or a folder.")
    path = _of_split(path, split, where)
    if (path / "state.json").is_file():
        return ArrowFiles(_arrow_paths(path, where), where)
    files = sorted(path.rglob("*.parquet"))
    if split is not None:
        files = [
            file for file in files if file.name.startswith(f"{split}-") or file.stem == split or split in file.parts
        ]
    if not files:
        raise InputError(f"{where}: there is no parquet file and no state.json (of save_to_disk) in this folder.")
    return ParquetFiles(files, where)


def _of_split(path: Path, split: str | None, where: str) -> Path:
    """Return the folder of a split, where `save_to_disk` wrote several."""
    listing = path / "dataset_dict.json"
    if not listing.is_file():
        return path
    try:
        with open(listing, "rb") as file:
            splits = [str(name) for name in json.loads(file.read(_MAX_STATE_BYTES))["splits"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{listing} is damaged ({error}).") from error
    if split is None and len(splits) != 1:
        raise InputError(f"{where} has the splits {', '.join(splits)}; choose one with ?split=NAME.")
    chosen = splits[0] if split is None else split
    if chosen not in splits or os.sep in chosen or chosen.startswith("."):
        raise InputError(f"{where} has no split {chosen!r}{one_of(chosen, tuple(splits))}.")
    return path / chosen


def _arrow_paths(path: Path, where: str) -> list[Path]:
    """Return the arrow files of a `save_to_disk` folder in their order."""
    try:
        with open(path / "state.json", "rb") as file:
            state = json.loads(file.read(_MAX_STATE_BYTES))
        names = [str(entry["filename"]) for entry in state["_data_files"]]
        indices = state.get("_indices_data_files") or state.get("_indices_files")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path / 'state.json'} is damaged ({error}).") from error
    if indices:
        raise InputError(f"{where} is a selection by indices; save it with flatten_indices() first.")
    outside = [name for name in names if Path(name).name != name]
    if outside or not names:
        raise InputError(
            f"{path / 'state.json'} names {outside[0] if outside else 'no file'!r}, not files of its folder."
        )
    return [path / name for name in names]
