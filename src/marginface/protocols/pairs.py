"""Which images are compared: pairs from LFW's `pairs.txt`, from a table, or generated from labels."""

from __future__ import annotations

import csv
import difflib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError, one_of
from marginface.protocols.names_of_images import names_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of people that are to be told apart in the results."""

    names: tuple[str, ...]
    of_image: npt.NDArray[np.int64]
    """(N,) for each image of the source: a position in `names`, or -1."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Comparisons to make between the images of one source, by position."""

    name: str
    left: npt.NDArray[np.int64]
    """(P,) positions in the source's keys."""
    right: npt.NDArray[np.int64]
    mated: npt.NDArray[np.bool_]
    """(P,) true where both images show one person."""
    fold: npt.NDArray[np.int64] | None = None
    """(P,) for k-fold accuracy, or None where the protocol names none."""
    groups: Groups | None = None
    """Whom the protocol itself tells apart."""
    person: npt.NDArray[np.int64] | None = None
    """(N,) who is on each image of the source, where its own labels say something else (RFW's folders are groups)."""

    def __post_init__(self) -> None:
        columns = [self.left, self.right, self.mated] + ([] if self.fold is None else [self.fold])
        if len({len(column) for column in columns}) != 1:
            raise ValueError(f"The columns of {self.name} differ in length: {[len(column) for column in columns]}.")

    def __len__(self) -> int:
        return len(self.left)

    @property
    def num_mated(self) -> int:
        return int(self.mated.sum())

    @property
    def num_non_mated(self) -> int:
        return len(self) - self.num_mated

    @property
    def images(self) -> npt.NDArray[np.int64]:
        """Positions of all images that are needed, ascending."""
        return np.union1d(self.left, self.right)

    @property
    def assessed(self) -> npt.NDArray[np.int64]:
        """Positions of the images whose quality decides what error versus discard leaves out: all."""
        return self.images

    def identities(self, labels: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the labels of the left and the right side, each (P,), given the source's labels."""
        return labels[self.left], labels[self.right]


def lfw_pairs(path: str | Path, keys: Sequence[str], *, name: str = "lfw") -> Pairs:
    """Return the pairs of a file in LFW's format, found among `keys`.

    The first line holds the number of folds and of pairs per fold and kind (`10 300`; a single number means one fold).
    Then, fold after fold, mated pairs `name i j` and non-mated pairs `name1 i name2 j`, separated by tabs or spaces.
    Image i of `name` is the key `name/name_000i` with any extension and under any folder.

    Raises:
        InputError: no such file, a line that does not fit (named by its number), or an image that is not among `keys`.
    """
    lines = _read_lines(path)
    header = lines[0].split() if lines else []
    if len(header) not in (1, 2) or not all(word.isdigit() for word in header):
        raise InputError(f"{path}: line 1 must hold folds and pairs per fold, as in `10 300`; is it LFW's pairs.txt?")
    num_folds, per_fold = (1, int(header[0])) if len(header) == 1 else (int(header[0]), int(header[1]))
    rows = [(number, words) for number, line in enumerate(lines[1:], 2) if (words := line.split())]
    if len(rows) != num_folds * per_fold * 2:
        raise InputError(
            f"{path}: line 1 promises {num_folds * per_fold * 2:,} pairs, it holds {len(rows):,}; it is damaged or cut."
        )
    images = _Images(keys)
    left, right, mated = [], [], []
    for number, words in rows:
        if len(words) not in (3, 4) or not all(words[i].isdigit() for i in (1, len(words) - 1)):
            raise InputError(
                f"{path}: line {number}: expected `name i j` or `name1 i name2 j`, got {' '.join(words)!r}."
            )
        other = words[0] if len(words) == 3 else words[2]
        left.append(images.numbered(words[0], int(words[1]), f"{path}: line {number}"))
        right.append(images.numbered(other, int(words[-1]), f"{path}: line {number}"))
        mated.append(len(words) == 3)
    fold = np.repeat(np.arange(num_folds), per_fold * 2) if num_folds > 1 else None
    return Pairs(name, np.array(left, np.int64), np.array(right, np.int64), np.array(mated, np.bool_), fold)


def csv_pairs(path: str | Path, keys: Sequence[str], *, name: str = "csv") -> Pairs:
    """Return the pairs of a table with the columns `left,right,mated` and, if wanted, `fold`.

    The header is required, its order free; commas or tabs. `left` and `right` are keys of the source as they stand,
    `mated` is 1/0, true/false or yes/no, `fold` any word. Lines starting with # and empty lines are passed over.

    Raises:
        InputError: no such file, a column missing, a value that does not fit (named by its line), or an unknown key.
    """
    rows = read_table(path)
    number, header = next(rows, (1, []))
    for column in ("left", "right", "mated"):
        if column not in header:
            raise InputError(
                f"{path}: line {number}: the column {column!r} is missing; the header is `left,right,mated[,fold]`."
            )
    for column in header:
        if column not in _COLUMNS:
            raise InputError(f"{path}: line {number}: there is no column {column!r}{one_of(column, _COLUMNS)}.")
    images = _Images(keys)
    left, right, mated, fold_names = [], [], [], []
    for number, values in rows:
        where = f"{path}: line {number}"
        if len(values) != len(header):
            raise InputError(f"{where}: expected {len(header)} values, got {len(values)}.")
        row = dict(zip(header, values, strict=True))
        truth = TRUTH.get(row["mated"].lower())
        if truth is None:
            raise InputError(f"{where}: mated must be 1 or 0 (true/false, yes/no), got {row['mated']!r}.")
        left.append(images.exact(row["left"], where))
        right.append(images.exact(row["right"], where))
        mated.append(truth)
        fold_names.append(row.get("fold", ""))
    if not left:
        raise InputError(f"{path}: there are no pairs below the header.")
    fold = np.unique(np.array(fold_names), return_inverse=True)[1].astype(np.int64) if "fold" in header else None
    return Pairs(name, np.array(left, np.int64), np.array(right, np.int64), np.array(mated, np.bool_), fold)


_COLUMNS = ("left", "right", "mated", "fold")
TRUTH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


class _Images:
    """Finds the position of an image among a source's keys."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = keys

    @cached_property
    def position(self) -> dict[str, int]:
        return {key: i for i, key in enumerate(self.keys)}

    @cached_property
    def by_stem(self) -> dict[str, int]:
        return {names_of(key)[1]: i for i, key in enumerate(self.keys)}

    @cached_property
    def by_folder_and_stem(self) -> dict[str, int]:
        return {names_of(key)[2]: i for i, key in enumerate(self.keys)}

    def numbered(self, person: str, image: int, where: str) -> int:
        stem = f"{person}_{image:04d}"
        found = self.by_folder_and_stem.get(f"{person}/{stem}")
        if found is None:
            found = self.by_stem.get(stem)
        if found is None:
            raise InputError(
                f"{where}: the image {person}/{stem} is not among the {len(self.keys):,} images of the source"
                f"{self._example()}; are these the pairs of another data set?"
            )
        return found

    def exact(self, key: str, where: str) -> int:
        found = self.position.get(key)
        if found is None:
            near = difflib.get_close_matches(key, self.keys, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"{self._example()}."
            raise InputError(
                f"{where}: the image {key!r} is not among the {len(self.keys):,} images of the source{hint}"
            )
        return found

    def _example(self) -> str:
        return f" (its first is {self.keys[0]!r})" if len(self.keys) else ""


def _read_lines(path: str | Path) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"{path}: this file of pairs cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: this is not a text file; a file of pairs is.") from error


def read_table(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, stripped values) of a table in commas or tabs, without empty lines and # comments."""
    lines = _read_lines(path)
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    delimiter = "\t" if numbered and "\t" in numbered[0][1] else ","
    for number, line in numbered:
        yield number, [value.strip() for value in next(csv.reader([line], delimiter=delimiter))]
