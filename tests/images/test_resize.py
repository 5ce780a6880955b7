"""Crops are fitted by area when shrinking; photographs are refused by name."""

import numpy as np
import pytest

from marginface.images.decode import BrokenImageError
from marginface.images.resize import fit


def test_the_right_size_is_not_touched():
    image = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    assert fit(image, size=112, max_side=512, name="a") is image


def test_halving_averages_two_by_two_pixels():
    image = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    means = image.reshape(112, 2, 112, 2, 3).mean(axis=(1, 3))
    small = fit(image, size=112, max_side=512, name="a")
    assert np.abs(small - means).max() <= 0.75
    assert small.dtype == np.uint8


def test_enlarging_keeps_a_ramp_a_ramp():
    ramp = np.repeat(np.arange(0, 64, dtype=np.uint8)[None, :, None] * 4, 64, axis=0).repeat(3, axis=2)
    large = fit(ramp, size=112, max_side=512, name="a").astype(int)
    assert large.shape == (112, 112, 3)
    assert (np.diff(large[50, :, 0]) >= 0).all()


def test_a_photograph_of_3000_pixels_is_refused_with_what_to_do():
    with pytest.raises(
        BrokenImageError, match=r"ada/1\.png: 3000 x 3000 pixels is larger than 512 x 512; aligned"
    ) as error:
        fit(np.zeros((3000, 3000, 3), np.uint8), size=112, max_side=512, name="ada/1.png")
    assert "max_side" in str(error.value)


def test_a_crop_that_is_not_square_is_refused():
    with pytest.raises(BrokenImageError, match="96 x 112 pixels is not square"):
        fit(np.zeros((112, 96, 3), np.uint8), size=112, max_side=512, name="a")
