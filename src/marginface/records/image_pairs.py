"""Verification packs: a flat list of images, of which 2i and 2i + 1 are pair i. What their readers share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.records.image_bytes import suffix_of
from marginface.records.listed import ListedRecords
from marginface.records.record import Record

NUM_FOLDS = 10


@dataclass(frozen=True, eq=False)
class PairPositions:
    """Which images of a pack are compared, by position in its records."""

    left: npt.NDArray[np.int64]
    """(P,)."""
    right: npt.NDArray[np.int64]
    mated: npt.NDArray[np.bool_]
    """(P,) true where both images show one person."""
    fold: npt.NDArray[np.int64] | None
    """(P,) 0..9: consecutive tenths, as the field's scripts cut them; None where there are fewer than ten pairs."""


def pair_positions(is_mated: npt.NDArray[np.bool_]) -> PairPositions:
    """Return the comparisons of a pack of P pairs: (P,) bool in, positions in its 2P images out.

    The folds are those of scikit-learn's `KFold(10, shuffle=False)` over the pairs: the first P mod 10 have one more.
    """
    num_pairs = len(is_mated)
    left = np.arange(num_pairs, dtype=np.int64) * 2
    sizes = np.full(NUM_FOLDS, num_pairs // NUM_FOLDS) + (np.arange(NUM_FOLDS) < num_pairs % NUM_FOLDS)
    fold = np.repeat(np.arange(NUM_FOLDS, dtype=np.int64), sizes) if num_pairs >= NUM_FOLDS else None
    return PairPositions(left=left, right=left + 1, mated=np.asarray(is_mated, dtype=np.bool_), fold=fold)


class PairedImages(ListedRecords):
    """A `RecordSource` over the images of a verification pack, with its `pairs`.

    A pack does not say who is on its images. What it implies is used: the two images of a mated pair, and images that
    are the same file, show one person. So the identities are a lower bound of what belongs together: one person may
    have several. Keys are `<identity>/<pair>-left` and `-right`.
    """

    def __init__(self, *, location: str, images: Sequence[Any], is_mated: npt.NDArray[np.bool_]) -> None:
        """Keep the images.

        Args:
            location: as a person would type it.
            images: 2P encoded images, or decoded (H, W, 3) uint8 RGB arrays.
            is_mated: (P,) bool.
        """
        self.pairs = pair_positions(is_mated)
        self._location = location
        self._images = images
        self._labels = _implied_people(images, self.pairs)
        self._labels.flags.writeable = False
        num_people = int(self._labels.max()) + 1
        self._identities = tuple(f"person-{label:05d}" for label in range(num_people))
        self._keys = self._names()

    def __getitem__(self, index: int) -> Record:
        index = self._counted(index)
        label = int(self._labels[index])
        identity = self._identities[label]
        return Record(key=self._keys[index], image=self._images[index], label=label, identity=identity)

    def _names(self) -> tuple[str, ...]:
        first = self._images[0]  # images that are read when asked for are of one format
        of_all = suffix_of(first) if isinstance(first, bytes) else ".png"
        listed = isinstance(self._images, list)
        suffixes = [suffix_of(image) for image in self._images] if listed else [of_all] * len(self._images)
        sides = ("left", "right")
        return tuple(
            f"{self._identities[label]}/{i // 2:05d}-{sides[i % 2]}{suffix}"
            for i, (label, suffix) in enumerate(zip(self._labels.tolist(), suffixes, strict=True))
        )

    def __repr__(self) -> str:
        return f"<{self.location}: {len(self):,} images, {len(self.pairs.mated):,} pairs>"


def checked_is_mated(flags: Any, num_images: int, where: str) -> npt.NDArray[np.bool_]:
    """Return the (P,) flags of a pack with `num_images` = 2P images.

    Raises:
        InputError: no pairs, something else than true and false, or a number of images that does not fit.
    """
    if isinstance(flags, list | tuple):
        wrong = [i for i, flag in enumerate(flags) if not isinstance(flag, int | np.bool_ | np.integer)]
        if wrong:
            what = type(flags[wrong[0]]).__name__  # not its value: that of a hostile pickle may have no end
            raise InputError(f"{where}: pair {wrong[0]} is marked with a {what}; true or false expected.")
        flags = np.array([int(flag) for flag in flags]) if flags else np.zeros(0, np.bool_)
    if not isinstance(flags, np.ndarray) or flags.ndim != 1 or flags.dtype.kind not in "biu":
        raise InputError(f"{where}: the marks of its pairs are no list of true and false.")
    outside = np.flatnonzero((flags != 0) & (flags != 1))
    if outside.size:
        raise InputError(f"{where}: pair {outside[0]} is marked {flags[outside[0]]}; true (1) or false (0) expected.")
    if not len(flags):
        raise InputError(f"{where} holds no pair.")
    if num_images != 2 * len(flags):
        raise InputError(
            f"{where}: {num_images} images do not belong to {len(flags)} pairs, which have {2 * len(flags)};"
            " it is damaged."
        )
    return flags.astype(np.bool_)


def _implied_people(images: Sequence[Any], pairs: PairPositions) -> npt.NDArray[np.int64]:
    """Return (N,) numbers of people in the order of appearance: joined by mated pairs and by equal files."""
    parent = list(range(len(images)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first_of: dict[bytes, int] = {}
    for i, image in enumerate(images if isinstance(images, list) else ()):
        parent[root(i)] = root(first_of.setdefault(image, i))
    for i, j in zip(pairs.left[pairs.mated].tolist(), pairs.right[pairs.mated].tolist(), strict=True):
        parent[root(j)] = root(i)
    number: dict[int, int] = {}
    return np.array([number.setdefault(root(i), len(number)) for i in range(len(images))], dtype=np.int64)
