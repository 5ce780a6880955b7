"""Blurs take detail away, keep the shape and the mean, and say how strong they were."""

import itertools

import cv2
import numpy as np
import pytest
from PIL import Image

from marginface.errors import InputError
from marginface.images.augmentation import Draws
from marginface.images.augmentation.resolution import (
    INTERPOLATIONS,
    GaussianBlurConfig,
    JpegConfig,
    LowResolutionConfig,
    MotionBlurConfig,
    WindowBlurConfig,
)
from tests.helpers.synthetic import face

IMAGE = face(identity=1, image=0)
BLURS = [
    LowResolutionConfig(side=(0.2, 0.6)),
    GaussianBlurConfig(),
    WindowBlurConfig(),
    MotionBlurConfig(),
    JpegConfig(),
]


def detail(image):
    return np.abs(np.diff(image.astype(float), axis=1)).mean()


@pytest.mark.parametrize("blur", BLURS, ids=lambda config: config.kind)
def test_detail_goes_shape_and_mean_stay_and_the_given_image_is_left_alone(blur):
    before, strengths = IMAGE.copy(), []
    for i in range(20):
        out, strength = blur.apply(IMAGE, Draws(0, i))
        assert (out.shape, out.dtype) == (IMAGE.shape, np.uint8)
        assert abs(out.mean() - IMAGE.mean()) < 2
        assert detail(out) < detail(IMAGE)
        strengths.append(strength)
    assert 0 < min(strengths) <= max(strengths) <= 1
    np.testing.assert_array_equal(IMAGE, before)


def test_low_resolution_draws_its_side_evenly_and_both_methods_of_all_five():
    draws = [LowResolutionConfig().apply(IMAGE, Draws(0, i))[1] for i in range(400)]
    sides = [round((1 - strength) * 112) for strength in draws]
    assert 22 <= min(sides) <= 25
    assert 108 <= max(sides) <= 111
    assert np.mean(sides) == pytest.approx(112 * 0.6, abs=4)
    shrunk_alike = LowResolutionConfig(side=(0.4, 0.4))
    looks = {shrunk_alike.apply(IMAGE, Draws(1, i))[0].tobytes() for i in range(300)}
    assert 15 <= len(looks) <= 25  # of 5 x 5 pairs; enlarging by area is enlarging linearly


@pytest.mark.parametrize("method", INTERPOLATIONS)
def test_low_resolution_is_what_opencv_makes_of_bytes_up_to_one_grey_level_in_lanczos(method):
    noise = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)  # overshoots, so cuts count
    for image, down, up in itertools.product((IMAGE, noise), ("nearest", method), ("nearest", method)):
        config, whole = LowResolutionConfig(down=(down,), up=(up,)), image.shape[1::-1]
        for i in range(8):
            out, strength = config.apply(image, Draws(0, i))
            side = round((1 - strength) * whole[0])
            small = cv2.resize(image, (side, side), interpolation=INTERPOLATIONS[down])
            expected = cv2.resize(small, whole, interpolation=INTERPOLATIONS[up])
            difference = np.abs(out.astype(int) - expected)
            assert difference.max() <= (0 if method != "lanczos" else 1 if "nearest" in (down, up) else 3)


@pytest.mark.parametrize("side", [56, 73, 89])
def test_triangles_shrink_as_pillow_does_where_area_and_linear_do_not(side):
    def shrunk(method):
        config = LowResolutionConfig(side=(side / 112, side / 112 + 1e-9), down=(method,), up=("nearest",))
        return config.apply(IMAGE, Draws(0))[0].astype(int)

    small = Image.fromarray(IMAGE).resize((side, side), Image.Resampling.BILINEAR)
    expected = cv2.resize(np.asarray(small), (112, 112), interpolation=cv2.INTER_NEAREST)
    assert np.abs(shrunk("triangle") - expected).max() <= 1
    assert all(np.abs(shrunk(other) - expected).max() > 2 for other in ("area", "linear"))


def test_lengths_are_those_of_a_112_pixel_crop():
    config = GaussianBlurConfig(sigma=(2.0, 2.0))
    edge = np.zeros((448, 448, 3), np.uint8)
    edge[:, 224:] = 255
    large, strength = config.apply(edge, Draws(0))
    small, same = config.apply(np.ascontiguousarray(edge[::4, ::4]), Draws(0))
    assert strength == same == pytest.approx(20 / 112)
    width = [((image[0, :, 0] > 30) & (image[0, :, 0] < 225)).sum() for image in (large, small)]
    assert width[0] == pytest.approx(4 * width[1], rel=0.2)


def test_a_lower_quality_is_a_stronger_jpeg():
    errors = [
        np.abs(JpegConfig(quality=(q, q)).apply(IMAGE, Draws(0))[0].astype(int) - IMAGE).mean() for q in (90, 50, 10)
    ]
    assert errors == sorted(errors)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: LowResolutionConfig(down=("bicubic",)), "no interpolation 'bicubic'; did you mean 'cubic'"),
        (lambda: LowResolutionConfig(up=()), "need at least one"),
        (lambda: WindowBlurConfig(windows=(4,)), "odd for a Gaussian"),
        (lambda: JpegConfig(quality=(0, 50)), "quality 0 to 50 is no range within 1 to 100"),
    ],
)
def test_settings_out_of_range_are_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()
