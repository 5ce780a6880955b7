"""Photographs from anywhere: upright as PIL turns them, and refused before they unfold."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from marginface.errors import InputError
from marginface.images.decode import MOST_PIXELS, BrokenImageError
from marginface.images.header import stored_orientation, stored_size
from marginface.images.photograph import read_photograph

LOSSLESS = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}


def picture(width: int = 37, height: int = 23) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def encoded(format_name: str, image: Image.Image, orientation: int | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    if orientation is not None:
        exif = Image.Exif()
        exif[0x010F] = "a camera"  # something before it in the directory
        exif[0x0112] = orientation
        options["exif"] = exif
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_name", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_every_orientation_is_what_pil_makes_of_it(format_name: str, orientation: int) -> None:
    options = LOSSLESS.get(format_name, {"quality": 100, "subsampling": 0})
    data = encoded(format_name, picture(), orientation, **options)
    oracle = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    image, name = read_photograph(data, name="a")
    assert name == "a"
    assert np.abs(image.astype(int) - np.asarray(oracle.convert("RGB"))).max() <= (2 if format_name == "JPEG" else 0)
    assert image.flags.c_contiguous
    from_pil, _ = read_photograph(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(from_pil, np.asarray(oracle.convert("RGB")))


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000"])
@given(width=st.integers(1, 300), height=st.integers(1, 300))
@settings(max_examples=8, deadline=None)
def test_the_header_tells_the_size_of_every_format(format_name: str, width: int, height: int) -> None:
    assert stored_size(encoded(format_name, picture(width, height))) == (width, height)


def test_sizes_of_rarer_headers() -> None:
    assert stored_size(encoded("WEBP", picture(), quality=50)) == (37, 23)
    assert stored_size(encoded("WEBP", picture(), 6, quality=50)) == (37, 23)
    assert stored_size(encoded("JPEG", picture(), progressive=True)) == (37, 23)
    assert stored_size(b"BM" + bytes(12) + struct.pack("<IHH", 12, 37, 23)) == (37, 23)
    assert stored_size(b"BM" + bytes(12) + struct.pack("<Iii", 40, 37, -23)) == (37, 23)
    assert stored_size(b"P5 # a comment\n37 # and another\n23\n255\n") == (37, 23)
    assert stored_size(b"\xff\xd8\xff\xff\xff\xc0\x00\x11\x08\x00\x17\x00\x25") == (37, 23)  # fill bytes


def png_header(width: int, height: int, pixels: bytes = b"") -> bytes:
    def chunk(name: bytes, payload: bytes) -> bytes:
        return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_a_bomb_is_refused_by_its_header_and_not_unfolded() -> None:
    bomb = png_header(20_000, 20_000, bytes(60_001 * 100))
    tracemalloc.start()
    with pytest.raises(BrokenImageError, match=r"^a\.png: 20,000 x 20,000 pixels are more than the 100,000,000"):
        read_photograph(bomb, name="a.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_the_bound_can_be_set_and_counts_pixels() -> None:
    data = encoded("PNG", picture(37, 23))
    assert read_photograph(data, max_pixels=37 * 23)[0].shape == (23, 37, 3)
    with pytest.raises(BrokenImageError, match="more than the 850 "):
        read_photograph(data, max_pixels=37 * 23 - 1)


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "is empty"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "is an SVG drawing"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC or AVIF file, .* save it as JPEG"),
        (b"%PDF-1.7", "is not one of JPEG, PNG"),
        (png_header(50_000, 50_000), "50,000 x 50,000 pixels are more than"),
        (b"\xff\xd8\xff\xc0\x00\x11\x08\xc3\x50\xc3\x50\x03" + bytes(30), "50,000 x 50,000 pixels are more than"),
        (b"P6 50000 50000 255\n", "50,000 x 50,000 pixels are more than"),
        (encoded("PNG", picture())[:20], "is damaged"),
        (encoded("JPEG", picture())[:-40], "damaged or cut short"),
        (encoded("PNG", picture())[:-40], "damaged or truncated png"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(data: bytes, words: str) -> None:
    with pytest.raises(BrokenImageError, match=rf"^holiday\.jpg: .*{words}"):
        read_photograph(data, name="holiday.jpg")


def test_files_are_named_by_their_path(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded("JPEG", picture()))
    assert read_photograph(path)[1] == read_photograph(str(path))[1] == str(path)
    with pytest.raises(InputError, match=r"b\.jpg: there is no such file"):
        read_photograph(tmp_path / "b.jpg")
    with pytest.raises(InputError, match="cannot be read"):
        read_photograph(tmp_path)
    with pytest.raises(InputError, match="a picture is a path, bytes"):
        read_photograph(7)


@given(
    data=st.sampled_from(["JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP"]).map(
        lambda name: encoded(name, picture(), 6 if name not in ("GIF", "BMP") else None)
    ),
    changes=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=6),
    kept=st.integers(0, 4000),
)
@settings(max_examples=150, deadline=None)
def test_a_spoilt_header_never_raises_anything_but_a_refusal(
    data: bytes, changes: list[tuple[int, int]], kept: int
) -> None:
    spoilt = bytearray(data)
    for place, value in changes:
        spoilt[place % len(spoilt)] = value
    spoilt = spoilt[:kept]
    assert 1 <= stored_orientation(bytes(spoilt)) <= 8
    try:
        image, _ = read_photograph(bytes(spoilt), max_pixels=1_000_000)
    except BrokenImageError:
        return
    assert image.shape[0] * image.shape[1] <= 1_000_000 < MOST_PIXELS
