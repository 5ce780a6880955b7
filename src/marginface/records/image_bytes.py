"""What can be told about an image without decoding it: the suffix of its format; and lossless bytes for decoded
pixels."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

_PNG_START = b"\x89PNG\r\n\x1a\n"
_SUFFIX_OF_START = {
    b"\xff\xd8\xff": ".jpg",
    _PNG_START: ".png",
    b"BM": ".bmp",
    b"II*\x00": ".tif",
    b"MM\x00*": ".tif",
    b"P6": ".ppm",
    b"P5": ".pgm",
}


def encoded(image: bytes | npt.NDArray[np.uint8]) -> bytes:
    """Return the image's bytes as they are, or decoded (H, W, 3) uint8 RGB pixels as a PNG, which loses nothing."""
    return image if isinstance(image, bytes) else encode_png(image)


def encode_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return (H, W, 3) uint8 RGB pixels as a PNG without filters (PNG specification, W3C 2003, section 11)."""
    height, width, channels = pixels.shape
    if channels != 3 or pixels.dtype != np.uint8:
        raise ValueError(f"expected (H, W, 3) uint8 RGB, got {pixels.shape} {pixels.dtype}")
    rows = np.zeros((height, 1 + width * 3), np.uint8)  # each row starts with its filter, 0: none
    rows[:, 1:] = pixels.reshape(height, width * 3)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return _PNG_START + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def suffix_of(image: bytes) -> str:
    """Return what a file of these bytes is called at its end: ".jpg", ".png", ...; ".jpg" where they tell nothing."""
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for start, suffix in _SUFFIX_OF_START.items() if image.startswith(start)), ".jpg")


def size_of(image: bytes) -> tuple[int, int] | None:
    """Return (height, width) as the header of a JPEG or PNG tells it, pixels; None where it tells nothing."""
    if image.startswith(_PNG_START) and len(image) >= 24:
        width, height = struct.unpack(">II", image[16:24])
        return height, width
    place = 2 if image.startswith(b"\xff\xd8") else len(image)
    while place + 9 <= len(image) and image[place] == 0xFF:
        marker, length = image[place + 1], int.from_bytes(image[place + 2 : place + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a start of frame
            height, width = struct.unpack(">HH", image[place + 5 : place + 9])
            return height, width
        place += 2 + length
    return None
