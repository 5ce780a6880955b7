"""Parts of a source: chosen images, or chosen people. Splits are by person, so that nobody is on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.records.listed import ListedRecords
from marginface.records.names import ChosenNames, positions_of
from marginface.records.record import Record, RecordSource

_PIECE = 1 << 20


class Subset(ListedRecords):
    """Chosen records of a source, with their keys kept and their labels numbered densely again."""

    def __init__(self, source: RecordSource, indices: Sequence[int] | npt.NDArray[np.int64]) -> None:
        self.source = source
        self._location = f"{source.location} ({len(indices)} of {len(source)} images)"
        places = np.asarray(indices, dtype=np.int64)
        if places.ndim != 1 or (places.size and not 0 <= places.min() <= places.max() < len(source)):
            raise ValueError(f"indices of a subset are a flat sequence of 0..{len(source) - 1}")
        self.indices = places.astype(np.uint32) if len(source) <= 2**32 else places  # half the memory of a large set
        self._labels, here = _densely(source.labels, self.indices, len(source.identities))
        self._identities = ChosenNames(source.identities, here)
        self._keys = ChosenNames(source.keys, self.indices)

    def __getitem__(self, index: int) -> Record:
        whole = self.source[int(self.indices[index])]
        return Record(
            key=whole.key,
            image=whole.image,
            label=int(self._labels[index]),
            identity=whole.identity,
            landmarks=whole.landmarks,
            meta=whole.meta,
        )


def _densely(
    labels: npt.NDArray[np.int64], indices: npt.NDArray[np.integer], num_labels: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the labels at `indices` numbered densely, and which labels are left; in pieces, for millions of them."""
    chosen = np.empty(len(indices), dtype=np.int64)
    here = np.zeros(num_labels, dtype=bool)
    pieces = [slice(start, start + _PIECE) for start in range(0, len(indices), _PIECE)]
    for piece in pieces:
        chosen[piece] = labels[indices[piece]]
        here[chosen[piece]] = True
    if not here.all():
        number = np.cumsum(here) - 1
        for piece in pieces:
            chosen[piece] = number[chosen[piece]]
    return chosen, np.flatnonzero(here)


def subset(source: RecordSource, indices: Sequence[int] | npt.NDArray[np.int64]) -> RecordSource:
    """Return the records at `indices`, in that order, with labels numbered densely again.

    Raises:
        ValueError: an index outside 0..N-1.
    """
    return Subset(source, indices)


def of_identities(source: RecordSource, labels: Sequence[int] | npt.NDArray[np.int64]) -> RecordSource:
    """Return all records of the people with these labels, in the source's order."""
    return Subset(source, np.flatnonzero(np.isin(source.labels, np.asarray(labels, dtype=np.int64))))


def only_listed(source: RecordSource, path: str | Path) -> RecordSource:
    """Return the records whose keys a file lists, a line each, in its order.

    Raises:
        InputError: no such file, an empty one, or a key that the source does not have.
    """
    keys = listed_keys(path)
    positions = positions_of(keys, source.keys)
    missing = [keys[i] for i in np.flatnonzero(positions < 0)]
    if missing or not keys:
        what = f"{len(missing)} of its images, first {missing[0]!r}, are" if missing else "it lists nothing that is"
        raise InputError(f"{path}: {what} not in {source.location}.")
    return Subset(source, positions)


def except_listed(source: RecordSource, path: str | Path, *, whole: RecordSource | None = None) -> RecordSource:
    """Return the records whose keys a file does not list, in the source's order; an empty file excludes nobody.

    Args:
        source: the records.
        path: keys, a line each.
        whole: what `source` is a part of, where the list was made for all of that.

    Raises:
        InputError: no such file, a key that the data does not have, or nothing that is left.
    """
    keys = list(dict.fromkeys(listed_keys(path)))
    positions = positions_of(keys, source.keys)
    absent = [keys[i] for i in np.flatnonzero(positions < 0)]
    if absent and whole is not None:
        absent = [absent[i] for i in np.flatnonzero(positions_of(absent, whole.keys) < 0)]
    if absent:
        raise InputError(
            f"{path}: {len(absent)} of its images, first {absent[0]!r}, are not in {source.location}; is this the "
            "list of another data set?"
        )
    left = _without(source, positions)
    if not len(left):
        raise InputError(f"{path}: it excludes all images of {source.location}.")
    return left


def without(source: RecordSource, keys: Sequence[str]) -> RecordSource:
    """Return the records that have none of these keys, in the source's order; keys that it lacks are passed over."""
    return _without(source, positions_of(keys, source.keys))


def _without(source: RecordSource, positions: npt.NDArray[np.int64]) -> RecordSource:
    kept = np.ones(len(source), dtype=bool)
    kept[positions[positions >= 0]] = False
    return source if kept.all() else Subset(source, np.flatnonzero(kept))


def listed_keys(path: str | Path) -> list[str]:
    """Return the lines of a list of keys.

    Raises:
        InputError: no such file.
    """
    try:
        return Path(path).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise InputError(f"{path}: this list of images cannot be read ({error}).") from error


def with_at_least(source: RecordSource, num_images: int) -> RecordSource:
    """Return the records of people who have at least `num_images` images.

    Raises:
        InputError: nobody has.
    """
    counts = np.bincount(source.labels, minlength=len(source.identities))
    if counts.size == 0 or counts.max() < num_images:
        raise InputError(f"{source.location}: nobody has {num_images} images or more; the most is {counts.max()}.")
    return of_identities(source, np.flatnonzero(counts >= num_images))


def split_people(source: RecordSource, *, num_held_out: int, seed: int) -> tuple[RecordSource, RecordSource]:
    """Return (rest, held out): two sources that share nobody, the second with `num_held_out` people drawn by `seed`.

    Raises:
        InputError: fewer than `num_held_out` + 1 people.
    """
    num_people = len(source.identities)
    if not 0 < num_held_out < num_people:
        raise InputError(
            f"{source.location}: cannot hold out {num_held_out} of {num_people} people; leave at least one."
        )
    people = np.random.default_rng(seed).permutation(num_people)
    return of_identities(source, people[num_held_out:]), of_identities(source, people[:num_held_out])


def require_trainable(source: RecordSource) -> None:
    """Refuse a source that no margin head can learn from.

    Raises:
        InputError: fewer than two people.
    """
    if len(source.identities) < 2:
        who = f"only one identity, {source.identities[0]!r}" if source.identities else "nobody"
        raise InputError(
            f"{source.location} holds {who}; training needs at least two people, each in a folder of their own"
            " (if that is a folder of people, open it instead)."
        )
