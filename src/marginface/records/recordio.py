"""mxnet's RecordIO packs, as insightface and CVLface hand out data sets, read in place without mxnet."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.records.file_at import FileAt
from marginface.records.index_cache import cached, stamp_of
from marginface.records.listed import ListedRecords
from marginface.records.names import Names
from marginface.records.record import Record
from marginface.records.recordio_index import RecordIndex, read_index
from marginface.records.recordio_labels import labels_of, layout_of, name_of, read_framed
from marginface.records.recordio_names import KeyNames, listed_names
from marginface.records.recordio_part import payload_of, plain_image

logger = logging.getLogger(__name__)


class RecordIO(ListedRecords):
    """The images of a pack in the order of its index, each read by one `pread`.

    Keys and names come from an mxnet list (`train.lst`: index, label, `<identity>/<image>`) where one lies beside the
    pack and fits it; otherwise both are the pack's numbers. Labels and index are mapped from a cache in large packs, so
    that a start reads neither again, and workers share them.
    """

    def __init__(self, path: str | Path, *, names: str = "auto") -> None:
        """Read the index and the labels.

        Args:
            path: a folder with one `.rec` file (or a `train.rec`), or the `.rec` file; its `.idx` lies beside it.
            names: "auto", or "numbers" to leave a list beside it alone.

        Raises:
            InputError: no such pack, an index that does not fit it, or a damaged record, named by its key and place.
        """
        if names not in ("auto", "numbers"):
            raise InputError(f"recordio:{path}: names={names} is not known; choose from auto, numbers.")
        rec_path = _rec_path(path)
        self._location = f"recordio:{path}" + ("" if names == "auto" else f"?names={names}")
        self._rec = FileAt(rec_path, where=f"recordio:{rec_path}")
        self._index: RecordIndex = read_index(rec_path.with_suffix(".idx"), self._rec)
        self._layout = layout_of(self._rec, self._index)
        if self._layout.end <= self._layout.first:
            raise InputError(f"recordio:{rec_path} holds no image.")
        self._labels, self._numbers = self._read_labels(rec_path)
        numbers = self._key_names()
        list_path = rec_path.with_suffix(".lst")
        self._list = listed_names(list_path, numbers) if names == "auto" and list_path.is_file() else None
        self._keys = numbers if self._list is None else self._list

    @property
    def identities(self) -> Sequence[str]:
        """(C,) names: folders of the list beside the pack, or the pack's own numbers; the label is the position."""
        return self._people

    def __getitem__(self, index: int) -> Record:
        """Return the record with its encoded image.

        Raises:
            IndexError: outside -N..N-1.
            InputError: the record is damaged or cannot be read any more.
        """
        index = self._counted(index)
        entry = self._layout.first + index
        framed = read_framed(self._rec, self._index, entry)
        image = plain_image(framed)
        if image is None:
            image = payload_of(framed, f"{self._rec.where}: {name_of(self._index, entry)}").image
        label = int(self._labels[index])
        return Record(key=self.keys[index], image=image, label=label, identity=self.identities[label])

    def __repr__(self) -> str:
        return f"<{self.location}: {len(self):,} images of {len(self._numbers):,} people>"

    @cached_property
    def _people(self) -> Sequence[str]:
        numbers = KeyNames(self._numbers, 0, len(self._numbers))
        if self._list is None:
            return numbers
        first = np.full(len(numbers), -1, np.int64)
        first[self._labels[::-1]] = np.arange(len(self) - 1, -1, -1)
        return tuple(self._list.identity(i) if i >= 0 else numbers[label] for label, i in enumerate(first.tolist()))

    def _key_names(self) -> Names:
        keys = self._index.keys
        part = slice(self._layout.first, self._layout.end)
        return KeyNames(None if keys is None else keys[part], self._index.key(self._layout.first), len(self))

    def _read_labels(self, rec_path: Path) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return (N,) labels in 0..C-1 and (C,) the numbers that the pack gives to its people."""

        def make() -> dict[str, npt.NDArray]:
            labels, num_people = labels_of(self._rec, self._index, self._layout)
            num_people = _num_people(rec_path, num_people, int(labels.max()))
            if num_people is not None:
                return {"labels": labels, "numbers": np.arange(num_people)}
            numbers, dense = np.unique(labels, return_inverse=True)
            return {"labels": dense.astype(np.int64), "numbers": numbers}

        stamps = [
            stamp_of(path)
            for path in (rec_path, rec_path.with_suffix(".idx"), _property_path(rec_path))
            if path.exists()
        ]
        arrays = cached("recordio labels", rec_path, "; ".join(stamps), make)
        return arrays["labels"], arrays["numbers"]


def _rec_path(path: str | Path) -> Path:
    path = Path(path)
    if path.is_dir():
        found = sorted(path.glob("*.rec"))
        if path / "train.rec" in found:
            return path / "train.rec"
        if len(found) != 1:
            what = f"{len(found)} .rec files, none of them train.rec" if found else "no .rec file"
            raise InputError(f"recordio:{path}: there is {what} in this folder; name the file itself.")
        return found[0]
    if path.suffix == ".idx":
        path = path.with_suffix(".rec")
    if not path.is_file():
        raise InputError(f"recordio:{path} does not exist; expected a .rec file or its folder.")
    return path


def _property_path(rec_path: Path) -> Path:
    return rec_path.with_name("property")


def _num_people(rec_path: Path, num_identity_records: int | None, highest: int) -> int | None:
    """Return C as identity records or the `property` file tell it, None where neither does or they do not fit."""
    told: int | None = None
    path = _property_path(rec_path)
    if path.is_file():
        try:
            with open(path, "rb") as file:
                told = int(file.read(64).split(b",")[0])
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: expected `people,height,width` ({error}).") from error
    if num_identity_records is not None and told is not None and told != num_identity_records:
        logger.warning("%s tells of %d people, the pack has %d identity records", path, told, num_identity_records)
    num_people = num_identity_records if num_identity_records is not None else told
    if num_people is not None and highest < num_people <= max(2 * highest + 2, 2**24):
        return num_people
    if num_people is not None:
        logger.warning(
            "%s: %d people are told of, the highest label is %d; labels count", rec_path, num_people, highest
        )
    return None
