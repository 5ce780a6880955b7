"""What is kept stays where it was; what is taken away is black; strengths say how much that is."""

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.images.augmentation import Draws
from marginface.images.augmentation.geometry import AffineConfig, CropConfig, HolesConfig

IMAGE = np.random.default_rng(0).integers(1, 256, (112, 112, 3), dtype=np.uint8)  # nowhere black


def test_a_crop_keeps_a_rectangle_at_its_own_place_on_black():
    kept = []
    for i in range(300):
        out, strength = CropConfig().apply(IMAGE, Draws(0, i))
        there = (out != 0).all(axis=2)
        rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
        height, width = len(rows), len(columns)
        assert there.sum() == height * width  # a full rectangle
        np.testing.assert_array_equal(out[there], IMAGE[there])
        assert strength == pytest.approx(1 - height * width / 112**2)
        assert 0.72 < width / height < 1.39 or (height, width) == (112, 112)  # 3/4 to 4/3, sides rounded
        kept.append(1 - strength)
    assert 0.19 < min(kept) < 0.23
    assert max(kept) > 0.95
    assert np.mean(kept) == pytest.approx(0.57, abs=0.05)  # a little under 0.6: large areas are refused more often


def test_an_area_of_one_keeps_everything():
    out, strength = CropConfig(area=(1.0, 1.0), aspect=(1.0, 1.0)).apply(IMAGE, Draws(1))
    np.testing.assert_array_equal(out, IMAGE)
    assert strength == 0


def test_holes_are_black_squares_and_the_rest_stays():
    out, strength = HolesConfig(num_holes=(3, 3)).apply(IMAGE, Draws(5))
    black = (out == 0).all(axis=2)
    np.testing.assert_array_equal(out[~black], IMAGE[~black])
    assert strength == black.mean()
    assert 16**2 <= black.sum() <= 3 * 16**2
    small, _ = HolesConfig(num_holes=(1, 1)).apply(IMAGE[:56, :56], Draws(5))
    assert (small == 0).all(axis=2).sum() == 8**2  # lengths follow the size of the image


def test_an_affine_that_does_nothing_changes_nothing():
    still = AffineConfig(scale=(1.0, 1.0), rotation_probability=0.0, extra_shift=0.0)
    out, strength = still.apply(IMAGE, Draws(2))
    np.testing.assert_array_equal(out, IMAGE)
    assert strength == pytest.approx(0, abs=1e-9)


def test_a_smaller_image_stays_whole_without_extra_shift():
    config = AffineConfig(scale=(0.8, 0.8), rotation_probability=0.0, extra_shift=0.0)
    for i in range(50):
        white = np.full((112, 112, 3), 255, np.uint8)
        out, strength = config.apply(white, Draws(0, i))
        assert out.mean() / 255 == pytest.approx(0.8**2, abs=0.012)
        assert 0 < strength < 0.3


def test_a_fifth_is_turned():
    turned = sum(
        abs(AffineConfig()._matrix(112, Draws(0, i))[0, 1]) > 0
        for i in range(2000)  # the sine of the angle
    )
    assert 330 < turned < 470  # 400, standard deviation 18


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: CropConfig(area=(0.9, 0.2)), "crop: area 0.9 to 0.2 is no range within 0.01 to 1"),
        (lambda: CropConfig(probability=2), "crop: probability 2 is not a probability"),
        (lambda: HolesConfig(side=0), "side of 0 pixels is outside 1 to 112"),
        (lambda: AffineConfig(rotation_degrees=200), "rotation_degrees 200 is outside 0 to 180"),
    ],
)
def test_settings_out_of_range_are_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()
