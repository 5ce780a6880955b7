"""EXIF orientation -> an upright picture."""

from __future__ import annotations

import numpy as np

from marginface.errors import InputError
from marginface.images.detect import Pixels


def upright(image: Pixels, orientation: int) -> Pixels:
    """Return a picture as it was seen when it was taken.

    Args:
        image: (H, W, 3) uint8, as stored.
        orientation: the EXIF value, 1 to 8 (EXIF 2.32, tag 0x0112); from 5 on width and height change places.

    Raises:
        InputError: another value.
    """
    if not 1 <= orientation <= 8:
        raise InputError(f"an EXIF orientation is 1 to 8, not {orientation}.")
    turned = image.transpose(1, 0, 2) if orientation >= 5 else image
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    return np.ascontiguousarray(turned)
