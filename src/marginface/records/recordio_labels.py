"""Whose image each record of a RecordIO pack is, without reading the images.

insightface's packs start with a header record, labels (a, b): images have the keys 1..a-1, identity records a..b-1.
Identity record k holds the keys of identity k, (first, one past last), and no image. All identity records lie together
at the end, so the labels of 42 million images come from one read. Packs without them (im2rec, shuffled ones) keep a
label in each image's record: those are gathered once and kept (`index_cache`).

Keys are written there as float32, exact below 2^24 only: WebFace42M's ranges are rounded to multiples of four. Such
bounds are looked up in the labels of the images around them.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.records.file_at import FileAt
from marginface.records.recordio_index import RecordIndex
from marginface.records.recordio_part import HEADER_BYTES, MAGIC, MAX_PART_BYTES, payload_of

logger = logging.getLogger(__name__)

_EXACT = 2**24
_MAX_LABEL = 2**24
_IDENTITY_BYTES = 8 + HEADER_BYTES + 8
_CHUNK = 1 << 17
"""Images whose labels are gathered at once: at most half a gigabyte of mapped pages."""
_NUM_LOOKED_AT = 64


@dataclass(frozen=True, eq=False)
class Layout:
    """Which records of a pack are images."""

    first: int
    """Entry of the first image: 1 after a header record, else 0."""
    end: int
    """One past the entry of the last image; identity records follow, if there are any."""


def read_framed(rec: FileAt, index: RecordIndex, entry: int) -> bytes:
    """Return the bytes of a record, up to the next one of the index.

    Raises:
        InputError: longer than a record can be, or not readable.
    """
    start, end = int(index.offsets[entry]), int(index.offsets[entry + 1])
    name = name_of(index, entry)
    if end - start > 2 * MAX_PART_BYTES:
        raise InputError(f"{rec.where}: {name} would have {end - start:,} bytes; its index is damaged or incomplete.")
    return rec.read(start, end - start, name)


def name_of(index: RecordIndex, entry: int) -> str:
    """Return what to call a record in a message."""
    return f"record {index.key(entry)} at byte {int(index.offsets[entry]):,}"


def layout_of(rec: FileAt, index: RecordIndex) -> Layout:
    """Return which records are images.

    Raises:
        InputError: the header record speaks of other keys than the index has, or a record at either end is damaged.
    """
    first = payload_of(read_framed(rec, index, 0), f"{rec.where}: {name_of(index, 0)}")
    last = len(index) - 1
    payload_of(read_framed(rec, index, last), f"{rec.where}: {name_of(index, last)}")  # finds a file that was cut
    if not first.has_label_array or len(first.labels) < 2 or first.image:
        return Layout(0, len(index))
    bounds = first.labels[:2].astype(np.float64)
    if index.keys is not None or index.first_key != 0:
        raise InputError(f"{rec.where}: it has a header record, but the keys of its index do not count up from 0.")
    if not (np.isfinite(bounds).all() and 1 <= bounds[0] <= bounds[1]):
        raise InputError(f"{rec.where}: its header record, {bounds.tolist()}, is damaged.")
    claimed_end, claimed_all = int(bounds[0]), int(bounds[1])
    slack = _rounding(claimed_all)
    if abs(claimed_all - len(index)) > slack:
        raise InputError(
            f"{rec.where}: its header record tells of {claimed_all:,} records, its index lists {len(index):,}; the last"
            f" one listed is {index.key(last)}. Copy the index again."
        )
    return Layout(1, claimed_end if claimed_end < _EXACT else _start_of_identities(rec, index, claimed_end))


def _rounding(key: int) -> int:
    """Return by how much a key may be off at most, once it is float32."""
    return 0 if key < _EXACT else int(np.spacing(np.float32(key))) // 2


def _start_of_identities(rec: FileAt, index: RecordIndex, about: int) -> int:
    """Return the first entry of the run of identity records, which all have the same small size."""
    low = max(1, about - _rounding(about))
    small = np.diff(index.offsets[low : min(about + _rounding(about), len(index)) + 1]) == _IDENTITY_BYTES
    images = np.flatnonzero(~small)
    start = low + (int(images[-1]) + 1 if images.size else 0)
    for entry in range(start, min(start + 1, len(index))):
        if payload_of(read_framed(rec, index, entry), f"{rec.where}: {name_of(index, entry)}").image:
            raise InputError(f"{rec.where}: {name_of(index, entry)} should be an identity record and is an image.")
    return start


def labels_of(rec: FileAt, index: RecordIndex, layout: Layout) -> tuple[npt.NDArray[np.int64], int | None]:
    """Return ((N,) label of each image as the pack writes it, number of identity records or None).

    Raises:
        InputError: a damaged record, named by its key and place, or a label that is no whole number.
    """
    if layout.first == 1 and layout.end < len(index):
        starts = _starts_of_identities(rec, index, layout)
        if starts is not None:
            counts = np.diff(np.append(starts, layout.end))
            return np.repeat(np.arange(len(starts)), counts), len(starts)
        logger.warning("%s: its identity records do not fit its images; labels are read image by image", rec.where)
        return gathered_labels(rec, index, np.arange(layout.first, layout.end)), len(index) - layout.end
    return gathered_labels(rec, index, np.arange(layout.first, layout.end)), None


def _starts_of_identities(rec: FileAt, index: RecordIndex, layout: Layout) -> npt.NDArray[np.int64] | None:
    """Return (C,) first entry of each identity's images, or None where the identity records do not tell."""
    bounds = _identity_bounds(rec, index, layout)
    starts, ends = bounds[:, 0], bounds[:, 1]
    rounded = starts >= _EXACT
    exact = starts[~rounded]
    if exact.size and (exact[0] != layout.first or (np.diff(exact) < 0).any()):
        return None
    if layout.end <= _EXACT and ((starts[1:] != ends[:-1]).any() or ends[-1] != layout.end):
        return None
    if rounded.any():
        found = _looked_up(rec, index, layout, np.flatnonzero(rounded), starts[rounded])
        if found is None:
            return None
        starts = starts.copy()
        starts[rounded] = found
    return starts if _agree(rec, index, layout, starts) else None


def _identity_bounds(rec: FileAt, index: RecordIndex, layout: Layout) -> npt.NDArray[np.int64]:
    """Return (C, 2) bounds of keys, as written."""
    place = index.offsets[layout.end :]
    if (np.diff(place) == _IDENTITY_BYTES).all():
        data = rec.read(int(place[0]), int(place[-1] - place[0]), "the identity records")
        words = np.frombuffer(data, "<u4").reshape(-1, _IDENTITY_BYTES // 4)
        wrong = np.flatnonzero((words[:, 0] != MAGIC) | (words[:, 1] != HEADER_BYTES + 8) | (words[:, 2] != 2))
        if wrong.size:
            entry = layout.end + int(wrong[0])
            raise InputError(f"{rec.where}: {name_of(index, entry)} is damaged: it is no identity record.")
        bounds = words[:, 8:10].copy().view("<f4")
    else:
        rows = []
        for entry in range(layout.end, len(index)):
            where = f"{rec.where}: {name_of(index, entry)}"
            labels = payload_of(read_framed(rec, index, entry), where).labels
            if len(labels) < 2:
                raise InputError(f"{where} is damaged: an identity record has two labels.")
            rows.append(labels[:2])
        bounds = np.array(rows, np.float32)
    outside = np.flatnonzero(~((bounds >= 0) & (bounds <= layout.end + _rounding(layout.end))).all(axis=1))
    if outside.size:
        entry = layout.end + int(outside[0])
        raise InputError(f"{rec.where}: {name_of(index, entry)} is damaged: keys {bounds[outside[0]].tolist()}.")
    return bounds.astype(np.int64)


def _looked_up(
    rec: FileAt, index: RecordIndex, layout: Layout, numbers: npt.NDArray[np.int64], about: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64] | None:
    """Return the exact first entries of identities `numbers`, from the labels of the images around `about`."""
    rounding = _rounding(layout.end)
    window = about[:, None] + np.arange(-rounding, rounding)
    inside = np.clip(window, layout.first, layout.end - 1)
    labels = gathered_labels(rec, index, inside.ravel()).reshape(inside.shape)
    labels[window >= layout.end] = np.iinfo(np.int64).max
    starts = window[:, 0] + (labels < numbers[:, None]).sum(axis=1)
    ascending = (np.diff(labels, axis=1) >= 0).all() and (np.diff(starts) >= 0).all() and (starts <= layout.end).all()
    return starts if ascending else None


def _agree(rec: FileAt, index: RecordIndex, layout: Layout, starts: npt.NDArray[np.int64]) -> bool:
    """Look at a few identities: is identity k the label k of its first image's own record?"""
    counts = np.diff(np.append(starts, layout.end))
    if counts.min() < 0:
        return False
    present = np.flatnonzero(counts)
    some = present[np.linspace(0, len(present) - 1, min(_NUM_LOOKED_AT, len(present))).astype(np.int64)]
    return np.array_equal(gathered_labels(rec, index, starts[some]), some) if len(some) else True


def gathered_labels(rec: FileAt, index: RecordIndex, entries: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the label in each record's own header, the first where there are several.

    The file is mapped for this, since it is one read of a few bytes in each of millions of places.

    Raises:
        InputError: a damaged record, named by its key and place, or a label that is no whole number.
    """
    if os.path.getsize(rec.path) != rec.size:
        raise InputError(f"{rec.where} changed after it was opened; start again.")
    labels = np.empty(len(entries), np.float32)
    for start in range(0, len(entries), _CHUNK):
        words = np.memmap(rec.path, "<u4", mode="r", shape=(max(rec.size // 4, 1),))  # anew: lets go of pages seen
        part = entries[start : start + _CHUNK]
        labels[start : start + _CHUNK] = _labels_at(rec, index, part, words)
    wrong = np.flatnonzero(~((labels >= 0) & (labels <= _MAX_LABEL) & (labels == np.floor(labels))))
    if wrong.size:
        name = name_of(index, int(entries[wrong[0]]))
        raise InputError(f"{rec.where}: {name} has the label {labels[wrong[0]]}; whole numbers from 0 are expected.")
    return labels.astype(np.int64)


def _labels_at(
    rec: FileAt, index: RecordIndex, entries: npt.NDArray[np.int64], words: npt.NDArray[np.uint32]
) -> npt.NDArray[np.float32]:
    place = index.offsets[entries]
    room = index.offsets[entries + 1] - place
    word = place // 4
    plain = (place % 4 == 0) & (room >= 8 + HEADER_BYTES + 4)
    safe = np.where(plain, word, 0)  # the others are read one by one below, which also says what is wrong with them
    header = words[safe[:, None] + np.arange(4)] if len(words) > 9 else np.zeros((len(entries), 4), np.uint32)
    length = header[:, 1] & MAX_PART_BYTES
    num_labels = header[:, 2]
    plain &= (header[:, 0] == MAGIC) & (header[:, 1] >> 29 == 0) & (length + 8 <= room)
    plain &= HEADER_BYTES + 4 * num_labels.astype(np.int64) <= length
    labels = np.where(num_labels == 0, header[:, 3], 0).view(np.float32)
    several = np.flatnonzero(plain & (num_labels > 0))
    labels[several] = words[word[several] + 8].view(np.float32)
    for i in np.flatnonzero(~plain).tolist():
        entry = int(entries[i])
        labels[i] = payload_of(read_framed(rec, index, entry), f"{rec.where}: {name_of(index, entry)}").labels[0]
    return labels
