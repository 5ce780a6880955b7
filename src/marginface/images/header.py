"""What an encoded image says of itself before it is decoded: its size, and which way up it was taken.

Only headers are read, a few steps through each container, so that a file of a few kilobytes that would unfold into
gigabytes is known for what it is. Sources: JPEG ITU-T T.81 annex B, PNG (ISO 15948), TIFF 6.0, EXIF 2.32, the WebP
container (RFC 9649), JPEG 2000 (ITU-T T.800 annex A).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

JPEG_START = b"\xff\xd8\xff"

_ORIENTATION, _WIDTH, _HEIGHT = 0x0112, 0x0100, 0x0101
_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a payload."""


def image_format(image: bytes | npt.NDArray[np.uint8]) -> str:
    """Return the name of the format that the first bytes tell: "jpeg", "png", ..., "array", or "unknown"."""
    if isinstance(image, np.ndarray):
        return "array"
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return "webp"
    return next((name for start, name in _STARTS.items() if image.startswith(start)), "unknown")


_STARTS = {
    JPEG_START: "jpeg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"BM": "bmp",
    b"GIF8": "gif",
    b"II*\x00": "tiff",
    b"MM\x00*": "tiff",
    b"\x00\x00\x00\x0cjP  ": "jpeg2000",
}


def stored_size(data: bytes) -> tuple[int, int] | None:
    """Return (width, height) in pixels as stored, None where the header does not tell or the format is not known."""
    try:
        size = _SIZES.get(photograph_format(data), _no_size)(data)
    except (struct.error, IndexError, ValueError):
        return None
    return size if size is not None and min(size) > 0 else None


def stored_orientation(data: bytes) -> int:
    """Return the EXIF orientation, 1 to 8; 1, upright, where there is none or it makes no sense."""
    try:
        tags = _tiff_tags(_exif(data))
    except (struct.error, IndexError, ValueError):
        return 1
    found = tags.get(_ORIENTATION, 1)
    return found if 1 <= found <= 8 else 1


def photograph_format(data: bytes) -> str:
    """Return what `image_format` tells, and "pnm", "svg" or "heif" besides."""
    known = image_format(data)
    if known != "unknown":
        return known
    if data[:4] == b"\xff\x4f\xff\x51":
        return "jpeg2000"
    if re.match(rb"P[1-6]\s", data):
        return "pnm"
    if data[4:8] == b"ftyp":  # HEIC of telephones, AVIF
        return "heif"
    return "svg" if b"<svg" in data[:2048].lower() else "unknown"


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    for marker, payload in _jpeg_segments(data):
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", payload, 1)
            return width, height
    return None


def _png_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Return the largest size that any chunk claims: the canvas of an extended file need not be the frame's."""
    sizes = []
    for name, payload in _riff_chunks(data):
        if name == b"VP8X":
            sizes.append((int.from_bytes(payload[4:7], "little") + 1, int.from_bytes(payload[7:10], "little") + 1))
        elif name == b"VP8L":
            bits = int.from_bytes(payload[1:5], "little")
            sizes.append(((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1))
        elif name == b"VP8 ":
            width, height = struct.unpack_from("<HH", payload, 6)
            sizes.append((width & 0x3FFF, height & 0x3FFF))
    return (max(w for w, _ in sizes), max(h for _, h in sizes)) if sizes else None


def _tiff_size(data: bytes) -> tuple[int, int]:
    tags = _tiff_tags(data)
    return tags.get(_WIDTH, 0), tags.get(_HEIGHT, 0)


def _bmp_size(data: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", data, 14)[0] == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return abs(width), abs(height)  # a negative height means rows from the top


def _gif_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _jpeg2000_size(data: bytes) -> tuple[int, int]:
    start = data.index(b"\xff\x4f\xff\x51")  # start of codestream, then its size segment
    width, height = struct.unpack_from(">II", data, start + 8)
    return width, height


def _pnm_size(data: bytes) -> tuple[int, int]:
    words = re.sub(rb"#[^\n]*", b"", data[:4096]).split(maxsplit=3)
    return int(words[1]), int(words[2])


def _no_size(_: bytes) -> None:
    return None


_SIZES = {
    "jpeg": _jpeg_size,
    "png": _png_size,
    "webp": _webp_size,
    "tiff": _tiff_size,
    "bmp": _bmp_size,
    "gif": _gif_size,
    "jpeg2000": _jpeg2000_size,
    "pnm": _pnm_size,
}
READABLE = ("JPEG", "PNG", "WebP", "TIFF", "BMP", "GIF", "JPEG 2000", "PNM")


def _exif(data: bytes) -> bytes:
    """Return the TIFF structure that holds an image's EXIF tags, empty where there is none."""
    kind = image_format(data)
    if kind == "tiff":
        return data
    if kind == "jpeg":
        found = (payload for marker, payload in _jpeg_segments(data) if marker == 0xE1 and payload[:6] == b"Exif\0\0")
        return next(found, b"")[6:]
    if kind == "png":
        return next((payload for name, payload in _png_chunks(data) if name == b"eXIf"), b"")
    if kind == "webp":
        return next((payload for name, payload in _riff_chunks(data) if name == b"EXIF"), b"").removeprefix(b"Exif\0\0")
    return b""


def _tiff_tags(data: bytes) -> dict[int, int]:
    """Return the first value of each whole-number tag (BYTE, SHORT, LONG) in the first directory of a TIFF."""
    if data[:4] not in (b"II*\0", b"MM\0*"):
        return {}
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    tags: dict[int, int] = {}
    for i in range(count):
        tag, kind, _ = struct.unpack_from(f"{order}HHI", data, start + 2 + 12 * i)
        code = {1: "B", 3: "H", 4: "I"}.get(kind)
        if code:
            (tags[tag],) = struct.unpack_from(f"{order}{code}", data, start + 2 + 12 * i + 8)
    return tags


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (marker, payload) up to the start of the scan."""
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF or marker in _JPEG_BARE:  # fill bytes
            place += 1 if marker == 0xFF else 2
            continue
        if marker in (0xDA, 0xD9):
            return
        (length,) = struct.unpack_from(">H", data, place + 2)
        yield marker, data[place + 4 : place + 2 + max(length, 2)]
        place += 2 + max(length, 2)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 8
    while place + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        yield name, data[place + 8 : place + 8 + length]
        place += 12 + length


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 12
    while place + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, place)
        yield name, data[place + 8 : place + 8 + length]
        place += 8 + length + length % 2
