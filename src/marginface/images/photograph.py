"""A photograph as people keep it -> an upright (H, W, 3) uint8 RGB picture.

Crops for training are stored upright and go through `decode_image` alone. A photograph comes from anywhere: it is
turned as its EXIF data says, and refused before it is decoded where its header promises more pixels than the bound.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from marginface.errors import InputError
from marginface.images.decode import MOST_PIXELS, BrokenImageError, decode_image
from marginface.images.detect import Pixels
from marginface.images.header import READABLE, photograph_format, stored_orientation, stored_size
from marginface.images.orientation import upright

MAX_FILE_BYTES = 256 << 20
"""A larger file is not read."""

_REFUSED = {
    "svg": "is an SVG drawing, not a photograph; export it as PNG",
    "heif": "is a HEIC or AVIF file, which cannot be decoded here; save it as JPEG",
}


def read_photograph(picture: Any, *, name: str | None = None, max_pixels: int = MOST_PIXELS) -> tuple[Pixels, str]:
    """Return a picture, upright, and what to call it.

    Args:
        picture: a path, the bytes of a file, an (H, W, 3) uint8 RGB array (taken as it is), or a PIL image.
        name: what to call it in errors and results; the path unless given.
        max_pixels: width times height beyond which it is refused before it is decoded.

    Raises:
        BrokenImageError: not an image, damaged, or too large; the message starts with the name.
        InputError: no such file, or something else than the four kinds.
    """
    if isinstance(picture, (str, Path)):
        return _decoded(_contents(Path(picture)), name or str(picture), max_pixels), name or str(picture)
    name = name or "image"
    if isinstance(picture, (bytes, bytearray, memoryview)):
        return _decoded(bytes(picture), name, max_pixels), name
    if isinstance(picture, np.ndarray):
        return decode_image(picture, name=name), name
    if hasattr(picture, "convert") and hasattr(picture, "getexif"):  # PIL, which is not needed otherwise
        pixels = np.asarray(picture.convert("RGB"), dtype=np.uint8)
        return upright(pixels, _within(picture.getexif().get(0x0112, 1))), name
    raise InputError(
        f"{name}: a picture is a path, bytes, an (H, W, 3) uint8 array or a PIL image, not {type(picture)}."
    )


def _decoded(data: bytes, name: str, max_pixels: int) -> Pixels:
    kind = photograph_format(data)
    if kind in _REFUSED:
        raise BrokenImageError(f"{name}: this file {_REFUSED[kind]}.")
    size = stored_size(data)
    if size is None:
        what = "is empty" if not data else f"is not one of {', '.join(READABLE)}" if kind == "unknown" else "is damaged"
        raise BrokenImageError(f"{name}: this file {what}.")
    image = decode_image(data, name=name, max_pixels=max_pixels)
    return image if kind == "tiff" else upright(image, stored_orientation(data))  # OpenCV turns a TIFF by itself


def _contents(path: Path) -> bytes:
    try:
        num_bytes = path.stat().st_size
        if num_bytes > MAX_FILE_BYTES:
            raise BrokenImageError(f"{path}: {num_bytes / 1e6:,.0f} MB are too much for a photograph.")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file.") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error


def _within(orientation: Any) -> int:
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1
