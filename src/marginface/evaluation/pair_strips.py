"""The hardest pairs: which comparisons a system gets most wrong, and small pictures of them for a page."""

from __future__ import annotations

import base64
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.images.decode import decode_image
from marginface.images.degrade import encode_jpeg
from marginface.records.record import RecordSource

logger = logging.getLogger(__name__)

PAIRS_A_PERSON = 2
"""In one strip."""


def hardest(
    scores: npt.NDArray[np.floating],
    mated: npt.NDArray[np.bool_],
    *,
    left_person: npt.NDArray[np.int64],
    right_person: npt.NDArray[np.int64],
    count: int,
) -> dict[str, list[int]]:
    """Return the positions of the lowest mated and the highest non-mated scores, hardest first.

    A person stands in two pairs of a strip at most, and two different people meet once: otherwise a single mislabelled
    image, or one person with hundreds of them, would fill it. Ties keep the order of the comparisons.
    """
    people = (left_person, right_person)
    rising = np.argsort(scores, kind="stable")
    falling = np.argsort(-scores, kind="stable")
    return {
        "mated": _varied(rising[mated[rising]], *people, count, meetings=PAIRS_A_PERSON),
        "non_mated": _varied(falling[~mated[falling]], *people, count, meetings=1),
    }


def _varied(
    positions: npt.NDArray[np.int64],
    left_person: npt.NDArray[np.int64],
    right_person: npt.NDArray[np.int64],
    count: int,
    *,
    meetings: int,
) -> list[int]:
    pairs_of: Counter[int] = Counter()
    met: Counter[frozenset[int]] = Counter()
    chosen: list[int] = []
    for i in positions.tolist():
        if len(chosen) == count:
            break
        couple = frozenset((int(left_person[i]), int(right_person[i])))
        if met[couple] < meetings and all(pairs_of[person] < PAIRS_A_PERSON for person in couple):
            met[couple] += 1
            pairs_of.update(couple)
            chosen.append(i)
    return chosen


def thumbnails(keys: Iterable[str], sources: Sequence[RecordSource], *, side: int = 112) -> dict[str, str]:
    """Return `small_pictures` as `data:` addresses for a page."""
    return {key: as_address(jpeg) for key, jpeg in small_pictures(keys, sources, side=side).items()}


def small_pictures(keys: Iterable[str], sources: Sequence[RecordSource], *, side: int = 112) -> dict[str, bytes]:
    """Return a JPEG no larger than `side` pixels for each key that a source has.

    The picture is encoded anew, so that nothing but its pixels travels with the page (no EXIF position or name). Keys
    that no source has, and images that cannot be decoded, are left out.
    """
    wanted, found = set(keys), dict[str, bytes]()
    for source in sources if wanted else ():
        for index, key in enumerate(source.keys):
            if key not in wanted or key in found:
                continue
            try:
                image = decode_image(source[index].image, name=key)
            except InputError as error:
                logger.warning("no picture for the report: %s", error)
                continue
            found[key] = _small_jpeg(image, side)
    return found


def as_address(jpeg: bytes) -> str:
    """Return a JPEG as a `data:` address."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def _small_jpeg(image: npt.NDArray[np.uint8], side: int) -> bytes:
    height, width = image.shape[:2]
    shrink = side / max(height, width)
    if shrink < 1:
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return encode_jpeg(image, quality=90)


def strip_keys(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the keys of all images that the strips of these records show."""
    keys = []
    for record in records:
        for pairs in record.get("hardest", {}).values():  # searches have none
            keys += [pair[end] for pair in pairs for end in ("left_picture", "right_picture")]
        quality = record.get("quality") or {}
        keys += [one["key"] for strip in ("lowest", "highest") for one in quality.get(strip, ())]
    return keys
