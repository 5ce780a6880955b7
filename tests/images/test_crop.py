"""A crop is decoded into its place where it fits; whatever comes back holds what `decode_image` gives."""

import struct

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from marginface.images.crop import decode_crop
from marginface.images.decode import BrokenImageError, decode_image
from tests.helpers.synthetic import face, face_jpeg


def place_for(size):
    return np.full((size, size, 3), 7, np.uint8)


def test_a_jpeg_of_the_right_size_fills_its_place():
    data, place = face_jpeg(identity=0, image=0, size=32), place_for(32)
    pixels = decode_crop(data, place, max_side=512, name="a")
    assert pixels is place
    np.testing.assert_array_equal(place, decode_image(data, name="a"))


@pytest.mark.parametrize("size", [8, 31, 33, 64])
def test_other_sizes_come_back_as_they_are(size):
    data = face_jpeg(identity=0, image=0, size=size)
    np.testing.assert_array_equal(
        decode_crop(data, place_for(32), max_side=512, name="a"), decode_image(data, name="a")
    )


def test_other_formats_and_arrays_come_back_as_they_are():
    image = face(identity=0, image=0, size=32)
    png = cv2.imencode(".png", image[:, :, ::-1])[1].tobytes()
    grey = simplejpeg.encode_jpeg(np.ascontiguousarray(image[:, :, :1]), colorspace="GRAY")
    for data in (png, image, grey):
        np.testing.assert_array_equal(
            decode_crop(data, place_for(32), max_side=512, name="a"), decode_image(data, name="a")
        )


@given(cut=st.integers(3, 1500), flip=st.integers(2, 1400), bit=st.integers(0, 7))
@settings(max_examples=60, deadline=None)
def test_damage_is_refused_by_name_or_decoded_as_decode_image_would(cut, flip, bit):
    data = bytearray(face_jpeg(identity=0, image=0, size=32))
    data[flip % len(data)] ^= 1 << bit
    data = bytes(data[:cut])
    assert outcome(decode_crop, data, place_for(32), max_side=65_535, name="a") == outcome(decode_image, data, name="a")


def outcome(decode, *args, **how):
    try:
        return decode(*args, **how).tolist()
    except BrokenImageError as error:
        return str(error)


def test_a_file_that_would_unfold_into_gigabytes_is_refused_by_its_header():
    data = bytearray(face_jpeg(identity=0, image=0, size=32))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", 65_000, 65_000)
    with pytest.raises(BrokenImageError, match="a: 65000 x 65000 pixels is larger than 512 x 512"):
        decode_crop(bytes(data), place_for(32), max_side=512, name="a")
    png = bytearray(cv2.imencode(".png", face(identity=0, image=0, size=32))[1].tobytes())
    png[16:24] = struct.pack(">II", 60_000, 50_000)
    with pytest.raises(BrokenImageError, match="a: 60000 x 50000 pixels is not square"):
        decode_crop(bytes(png), place_for(32), max_side=512, name="a")
