"""An encoded crop -> its place in a batch: `decode_image` without a copy, and without surprises of size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import simplejpeg

from marginface.images.decode import decode_image
from marginface.images.header import JPEG_START, stored_size
from marginface.images.resize import refuse_size


def decode_crop(
    image: bytes | npt.NDArray[np.uint8], place: npt.NDArray[np.uint8], *, max_side: int, name: str
) -> npt.NDArray[np.uint8]:
    """Return the picture as (H, W, 3) uint8 RGB: `place` itself, filled, if it is a JPEG of exactly that size.

    Any other picture comes back in memory of its own, or in a part of `place`; what it holds is the same either way.

    Args:
        image: an encoded file or a decoded array, as `decode_image` takes it.
        place: (S, S, 3) uint8, contiguous; overwritten.
        max_side: a file whose header tells a longer side is refused before it unfolds, pixels.
        name: what to call the image in an error.

    Raises:
        BrokenImageError: see `decode_image`, or a side longer than `max_side`.
    """
    if isinstance(image, np.ndarray):
        return decode_image(image, name=name)
    if image[:3] == JPEG_START:
        try:
            pixels = simplejpeg.decode_jpeg(image, "RGB", False, False, 0, 0, 1.0, place)
        except ValueError:  # too large for its place, or damaged; below it becomes clear which
            pass
        else:
            return place if pixels.shape == place.shape else np.asarray(pixels, dtype=np.uint8)
    width, height = stored_size(image) or (0, 0)
    if max(width, height) > max_side:
        raise refuse_size(width, height, max_side=max_side, name=name)
    return decode_image(image, name=name)
