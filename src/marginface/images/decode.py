"""Encoded bytes -> (H, W, 3) uint8 RGB: the only place where colour order is decided.

The format is told by content, never by the file's name. JPEG goes through simplejpeg (libjpeg-turbo), which refuses a
truncated stream in words; everything else goes through OpenCV. What both paths agree on:

- grey is repeated over the three channels; CMYK is converted by the decoder; 16 bits a channel are scaled to 8;
- alpha is dropped, as OpenCV and PIL do: pixels behind a transparent area count as they are stored;
- an EXIF orientation is ignored: crops are stored upright, and one decoder obeying it while the other does not would
  turn the same person differently from file to file. (A TIFF's is obeyed by OpenCV, whatever it is told.)
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from marginface.errors import InputError
from marginface.images.header import JPEG_START, image_format, stored_size

_READ_FLAGS = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION


MOST_PIXELS = 100_000_000
"""Width times height of an image, unless told otherwise: 300 MB decoded, at most 1.1 GB in passing (16 bits)."""


class BrokenImageError(InputError):
    """An image that cannot be used; the message names it. Loaders may skip these, and count them, when told to."""


def decode_image(
    image: bytes | npt.NDArray[np.uint8], *, name: str, max_pixels: int = MOST_PIXELS
) -> npt.NDArray[np.uint8]:
    """Return the picture as contiguous (H, W, 3) uint8 RGB.

    Args:
        image: an encoded file, or an already decoded (H, W, 3) uint8 RGB array, which is only checked.
        name: what to call the image in an error, usually the record's key.
        max_pixels: width times height beyond which an image is refused by its header, before anything unfolds.

    Raises:
        BrokenImageError: not an image, damaged, truncated, or too large; the message starts with `name`.
    """
    if isinstance(image, np.ndarray):
        return _checked(image, name)
    width, height = stored_size(image) or (0, 0)
    if width * height > max_pixels:
        raise BrokenImageError(
            f"{name}: {width:,} x {height:,} pixels are more than the {max_pixels:,} that are decoded; make it smaller."
        )
    if image[:3] == JPEG_START:
        try:
            return np.asarray(simplejpeg.decode_jpeg(image, colorspace="RGB"), dtype=np.uint8)
        except ValueError as error:
            raise BrokenImageError(f"{name}: this JPEG is damaged or cut short ({_reason(error)}).") from error
    return _decode_other(image, name)


def _decode_other(image: bytes, name: str) -> npt.NDArray[np.uint8]:
    kind = image_format(image)
    if kind == "unknown":  # OpenCV knows some more formats, so it is asked all the same
        kind = "file"
    try:
        pixels = cv2.imdecode(np.frombuffer(image, np.uint8), _READ_FLAGS) if image else None
    except cv2.error as error:
        raise BrokenImageError(f"{name}: this {kind} cannot be decoded ({_reason(error)}).") from error
    if pixels is None:
        what = "is empty" if not image else "is not an image" if kind == "file" else f"is a damaged or truncated {kind}"
        raise BrokenImageError(f"{name}: this file {what}.")
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)  # 65535 -> 255, rounded
    if pixels.dtype != np.uint8:
        raise BrokenImageError(f"{name}: its pixels are {pixels.dtype}; save it with 8 or 16 bits a channel.")
    if pixels.ndim == 2:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    from_stored = cv2.COLOR_BGRA2RGB if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(pixels, from_stored), dtype=np.uint8)


def _checked(image: npt.NDArray[np.uint8], name: str) -> npt.NDArray[np.uint8]:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise BrokenImageError(f"{name}: expected (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}.")
    return np.ascontiguousarray(image)


def _reason(error: Exception) -> str:
    words = str(error).strip().splitlines()
    return words[-1] if words else type(error).__name__
