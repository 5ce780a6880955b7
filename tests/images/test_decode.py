"""Decoding gives RGB for every format people keep faces in, and never lets a damaged file pass as a picture."""

import io

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from marginface.errors import InputError
from marginface.images.decode import BrokenImageError, decode_image
from marginface.images.header import image_format


def picture(size: int = 112) -> np.ndarray:
    """Smooth coloured noise, red much brighter than blue, so that a swap of channels shows."""
    noise = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8), (0, 0), 4)
    noise = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX)
    return (noise * np.array([1.0, 0.6, 0.2])).astype(np.uint8)


def encoded(format_name: str, pixels: np.ndarray | Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("format_name, options", [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True})])
def test_lossless_formats_come_back_as_the_same_rgb(format_name, options):
    data = encoded(format_name, picture(), **options)
    decoded = decode_image(data, name="a")
    np.testing.assert_array_equal(decoded, picture())
    assert decoded.flags.c_contiguous
    assert image_format(data) == format_name.lower()


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_equals_pil(progressive):
    data = encoded("JPEG", picture(), quality=92, subsampling=0, progressive=progressive)
    oracle = np.asarray(Image.open(io.BytesIO(data)))
    assert np.abs(decode_image(data, name="a").astype(int) - oracle).max() <= 1
    assert image_format(data) == "jpeg"


def test_grey_jpeg_and_png_become_three_equal_channels():
    grey = picture()[..., 0]
    for data in (encoded("JPEG", grey, quality=95), encoded("PNG", grey)):
        decoded = decode_image(data, name="a")
        assert decoded.shape == (112, 112, 3)
        assert (decoded == decoded[..., :1]).all()
        assert np.abs(decoded[..., 0].astype(int) - grey).mean() < 2


def test_cmyk_jpeg_looks_as_in_pil():
    black = np.full((112, 112, 1), 40, np.uint8)
    data = encoded("JPEG", Image.fromarray(np.dstack([255 - picture(), black]), "CMYK"), quality=98)
    oracle = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(decode_image(data, name="a") - oracle).max() <= 2


def test_alpha_is_dropped():
    alpha = np.zeros((112, 112, 1), np.uint8)
    data = encoded("PNG", Image.fromarray(np.dstack([picture(), alpha]), "RGBA"))
    np.testing.assert_array_equal(decode_image(data, name="a"), picture())


def test_sixteen_bits_are_scaled_to_eight_and_not_cut():
    _, data = cv2.imencode(".png", picture()[..., ::-1].astype(np.uint16) * 257)
    np.testing.assert_array_equal(decode_image(data.tobytes(), name="a"), picture())


@pytest.mark.parametrize("format_name", ["JPEG", "PNG"])
def test_exif_orientation_is_ignored_by_both_decoders(format_name):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    options = {"quality": 95, "subsampling": 0} if format_name == "JPEG" else {}
    turned = encoded(format_name, picture(), exif=exif, **options)
    upright = encoded(format_name, picture(), **options)
    assert turned != upright
    np.testing.assert_array_equal(decode_image(turned, name="a"), decode_image(upright, name="a"))


@pytest.mark.parametrize(
    "options", [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("BMP", {}), ("WEBP", {})]
)
def test_a_file_cut_anywhere_is_broken_and_named(options):
    data = encoded(options[0], picture(), **options[1])
    for kept in [*range(24), *range(24, len(data), max(1, len(data) // 25)), len(data) - 2, len(data) - 1]:
        with pytest.raises(BrokenImageError, match=r"^ada/0001\.jpg: "):
            decode_image(data[:kept], name="ada/0001.jpg")


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "is empty"),
        (b"this is a text file that someone named .jpg\n", "is not an image"),
        (b"<!DOCTYPE html><html>404</html>", "is not an image"),
        (b"\xff\xd8\xff" + b"a" * 200, "damaged or cut short"),
    ],
)
def test_what_is_not_an_image_is_refused_in_words(data, words):
    with pytest.raises(BrokenImageError, match=words):
        decode_image(data, name="ada/0001.jpg")
    assert issubclass(BrokenImageError, InputError)


def test_float_pixels_are_refused():
    with pytest.raises(BrokenImageError, match="8 or 16 bits"):
        decode_image(encoded("TIFF", Image.fromarray(np.zeros((9, 9), np.float32))), name="a")


def test_arrays_pass_through_but_are_checked():
    array = picture()
    assert decode_image(array, name="a") is array
    assert decode_image(array[:, ::-1], name="a").flags.c_contiguous
    for wrong in (array[..., 0], array.astype(np.float32), np.zeros((0, 0, 3), np.uint8)):
        with pytest.raises(BrokenImageError, match="expected"):
            decode_image(wrong, name="a")


def test_an_image_that_would_unfold_into_gigabytes_is_refused_by_its_header():
    jpeg = bytearray(simplejpeg.encode_jpeg(np.zeros((8, 8, 3), np.uint8), quality=50, colorspace="RGB"))
    frame = jpeg.index(b"\xff\xc0") + 5  # height and width follow marker, length and precision
    jpeg[frame : frame + 4] = b"\xff\xdc\xff\xdc"
    with pytest.raises(BrokenImageError, match=r"^bomb.jpg: 65,500 x 65,500 pixels are more than the 100,000,000"):
        decode_image(bytes(jpeg), name="bomb.jpg")
    with pytest.raises(BrokenImageError, match="more than the 63 that"):
        decode_image(simplejpeg.encode_jpeg(np.zeros((8, 8, 3), np.uint8), colorspace="RGB"), name="a", max_pixels=63)
