"""An aligned crop of any size -> the square that the model takes."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from marginface.images.decode import BrokenImageError


def fit(image: npt.NDArray[np.uint8], *, size: int, max_side: int, name: str) -> npt.NDArray[np.uint8]:
    """Return the crop as (size, size, 3) uint8: averaged over areas when shrinking, bilinear when enlarging.

    A photograph is refused rather than squeezed: a face that is not where the model expects it costs more accuracy than
    any margin brings.

    Args:
        image: (H, W, 3) uint8 with H == W.
        size: side wanted, pixels.
        max_side: the largest side, in pixels, that can still be an aligned crop.
        name: what to call the image in an error.

    Raises:
        BrokenImageError: not square, or larger than `max_side`.
    """
    height, width = image.shape[:2]
    if height == width == size:
        return image
    if height != width or height > max_side:
        raise refuse_size(width, height, max_side=max_side, name=name)
    method = cv2.INTER_AREA if height > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size, size), interpolation=method), dtype=np.uint8)


def refuse_size(width: int, height: int, *, max_side: int, name: str) -> BrokenImageError:
    """Return the error that says why an image of this size is no aligned crop, and what to do."""
    problem = "not square" if height != width else f"larger than {max_side} x {max_side}"
    return BrokenImageError(
        f"{name}: {width} x {height} pixels is {problem}; aligned face crops are expected, such as 112 x 112"
        " (find the face and align it by its five landmarks first"
        + (", or raise max_side if it is a crop)." if height == width else ").")
    )
