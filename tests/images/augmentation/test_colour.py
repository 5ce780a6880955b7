"""The same light as PIL's ImageEnhance, which torchvision's ColorJitter calls on the images of published training."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from marginface.images.augmentation import Draws
from marginface.images.augmentation.colour import (
    GrayscaleConfig,
    HueSaturationConfig,
    PhotometricConfig,
    RandomPhotometricConfig,
    brighter,
    equalized,
    greyed,
    more_contrast,
    more_saturated,
    sharper,
)

IMAGE = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
BY_PIL = {
    brighter: ImageEnhance.Brightness,
    more_contrast: ImageEnhance.Contrast,
    more_saturated: ImageEnhance.Color,
    sharper: ImageEnhance.Sharpness,
}


@pytest.mark.parametrize("ours", BY_PIL, ids=lambda f: f.__name__)
@pytest.mark.parametrize("factor", [0.5, 0.83, 1.0, 1.2, 1.5])
def test_factors_do_what_pil_does(ours, factor):
    expected = np.asarray(BY_PIL[ours](Image.fromarray(IMAGE)).enhance(factor)).astype(int)
    difference = np.abs(ours(IMAGE, factor).astype(int) - expected)
    assert difference.max() <= 1
    # PIL computes in single precision, where a product such as 1.2 * 5 falls to either side of the whole number; and
    # OpenCV rounds grey at 14 bits where PIL does at 16.
    assert (difference > 0).mean() < 0.02


@pytest.mark.parametrize("image", [IMAGE, IMAGE // 3 + 40, np.full_like(IMAGE, 9)])
def test_equalize_is_pil_s(image):
    np.testing.assert_array_equal(equalized(image), np.asarray(ImageOps.equalize(Image.fromarray(image))))


def test_photometric_takes_the_drawn_factors_in_the_drawn_order():
    changes = (brighter, more_contrast, more_saturated)
    orders = set()
    for i in range(30):
        draws = Draws(0, i)
        factors = [draws.uniform(0.5, 1.5) for _ in range(3)]
        order, expected = draws.order(3), IMAGE
        orders.add(tuple(order))
        for which in order:
            expected = changes[which](expected, factors[which])
        out, strength = PhotometricConfig().apply(IMAGE, Draws(0, i))
        np.testing.assert_array_equal(out, expected)
        assert strength == max(abs(f - 1) for f in factors) <= 0.5
    assert len(orders) == 6


def test_the_published_slip_swaps_the_weights_of_red_and_blue_and_is_not_the_default():
    red = np.zeros((8, 8, 3), np.uint8)
    red[:, :, 0] = 200
    assert greyed(red)[0, 0, 0] == 60  # 0.299 * 200
    assert greyed(red, "bgr")[0, 0, 0] == 23  # 0.114 * 200
    slip = PhotometricConfig(grey_weights="bgr")
    swapped = np.ascontiguousarray(IMAGE[:, :, ::-1])
    for i in range(10):  # what the reference did: BGR in, thought to be RGB
        theirs = PhotometricConfig().apply(swapped, Draws(0, i))[0][:, :, ::-1]
        np.testing.assert_array_equal(slip.apply(IMAGE, Draws(0, i))[0], theirs)
    assert any(
        (slip.apply(IMAGE, Draws(0, i))[0] != PhotometricConfig().apply(IMAGE, Draws(0, i))[0]).any() for i in range(10)
    )


def test_hue_and_saturation_leave_grey_alone_and_turn_colour():
    grey = np.repeat(IMAGE[:, :, :1], 3, axis=2)
    out, _ = HueSaturationConfig().apply(grey, Draws(1))
    assert np.abs(out.astype(int) - grey).max() <= 1
    still, strength = HueSaturationConfig(hue_degrees=(0, 0), saturation=(1, 1)).apply(IMAGE, Draws(1))
    assert np.abs(still.astype(int) - IMAGE).max() <= 1  # the two matrices of DALI are each other's inverse to 3 digits
    assert strength == 0
    gone, _ = HueSaturationConfig(hue_degrees=(0, 0), saturation=(0, 0)).apply(IMAGE, Draws(1))
    assert np.abs(gone.astype(int) - greyed(IMAGE)).max() <= 1


def test_grayscale_is_pil_s_and_full_strength():
    out, strength = GrayscaleConfig().apply(IMAGE, Draws(0))
    expected = np.asarray(Image.fromarray(IMAGE).convert("L").convert("RGB")).astype(int)
    assert np.abs(out.astype(int) - expected).max() <= 1
    assert strength == 1


def test_random_photometric_is_mostly_gentle_and_seldom_grey():
    strengths = [RandomPhotometricConfig().apply(IMAGE, Draws(0, i))[1] for i in range(600)]
    assert 0.005 < np.mean(np.array(strengths) == 1) < 0.12  # 2 * (2/7)^3 = 0.047
    gentle = [s for s in strengths if 0 < s < 1]
    assert min(gentle) >= 0.15
    assert max(gentle) <= 0.66
