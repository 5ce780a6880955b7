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
import simplejpeg

from marginface.errors import InputError
from marginface.images.decode import decode_image
from marginface.records.record import RecordSource

logger = logging.getLogger(__name__)


def hardest(
    scores: npt.NDArray[np.floating],
    mated: npt.NDArray[np.bool_],
    *,
    left: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
    count: int,
) -> dict[str, list[int]]:
    """Return the positions of the lowest mated and the highest non-mated scores, hardest first.

    One image may stand in two pairs of a strip and no more: a single mislabelled image would otherwise fill it.
    Ties keep the order of the comparisons.
    """
    order = np.argsort(scores, kind="stable")
    descending = np.argsort(-scores, kind="stable")
    return {
        "mated": _taken((int(i) for i in order if mated[i]), left, right, count),
        "non_mated": _taken((int(i) for i in descending if not mated[i]), left, right, count),
    }


def _taken(
    positions: Iterable[int], left: npt.NDArray[np.int64], right: npt.NDArray[np.int64], count: int
) -> list[int]:
    seen: Counter[int] = Counter()
    chosen: list[int] = []
    for i in positions:
        if len(chosen) == count:
            break
        ends = int(left[i]), int(right[i])
        if max(seen[end] for end in ends) < 2:
            seen.update(ends)
            chosen.append(i)
    return chosen


def thumbnails(keys: Iterable[str], sources: Sequence[RecordSource], *, side: int = 112) -> dict[str, str]:
    """Return a `data:` address of a JPEG no larger than `side` pixels for each key that a source has.

    The picture is encoded anew, so that nothing but its pixels travels with the page (no EXIF position or name). Keys
    that no source has, and images that cannot be decoded, are left out.
    """
    wanted, found = set(keys), dict[str, str]()
    for source in sources:
        for index, key in enumerate(source.keys):
            if key not in wanted or key in found:
                continue
            try:
                image = decode_image(source[index].image, name=key)
            except InputError as error:
                logger.warning("no picture for the report: %s", error)
                continue
            found[key] = _data_address(image, side)
    return found


def _data_address(image: npt.NDArray[np.uint8], side: int) -> str:
    height, width = image.shape[:2]
    shrink = side / max(height, width)
    if shrink < 1:
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=90, colorspace="RGB", colorsubsampling="444")
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def strip_keys(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the keys of all images that the strips of these records show."""
    return [
        pair[end]
        for r in records
        for kind in ("mated", "non_mated")
        for pair in r["hardest"][kind]
        for end in ("left", "right")
    ]
