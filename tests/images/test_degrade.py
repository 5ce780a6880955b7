"""Each degradation does what its strength says, and nothing else."""

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from marginface.errors import InputError
from marginface.images.degrade import DEGRADATIONS, degrade

STRENGTHS = {"gaussian": 3.0, "motion": 9.0, "low_resolution": 16.0, "jpeg": 80.0}


def textured(size=112):
    noise = np.random.default_rng(0).normal(128, 40, (size, size, 3))
    return cv2.GaussianBlur(noise, (0, 0), 1.0).clip(0, 255).astype(np.uint8)


def spot(size=61):
    image = np.zeros((size, size, 3), dtype=np.uint8)
    image[size // 2, size // 2] = 255
    return image


@pytest.mark.parametrize("kind", list(DEGRADATIONS))
def test_shape_stays_the_original_is_not_touched_and_a_second_time_gives_the_same(kind):
    image = textured()
    before = image.copy()
    first, second = (degrade(image, kind, STRENGTHS[kind], chance=0.3) for _ in range(2))
    assert first.shape == image.shape
    assert first.dtype == np.uint8
    assert np.array_equal(image, before)
    assert np.array_equal(first, second)
    assert np.abs(first.astype(float) - image).mean() > 2
    assert abs(first.mean() - image.mean()) < 2, "light and colour stay"


def test_gaussian_is_scipys():
    image = textured()
    expected = gaussian_filter(image.astype(np.float64), sigma=(2.5, 2.5, 0), mode="mirror", truncate=4.0)
    assert np.abs(degrade(image, "gaussian", 2.5) - expected).max() < 1.5


def test_motion_draws_a_spot_into_a_line_of_its_length_and_direction():
    for chance, angle in [(0.0, 0.0), (0.25, 45.0), (0.5, 90.0)]:
        moved = degrade(spot(), "motion", 20.0, chance=chance)[..., 0].astype(float)
        rows, columns = np.nonzero(moved)
        weights = moved[rows, columns]
        points = np.stack([columns - 30.0, rows - 30.0])
        covariance = np.cov(points, aweights=weights)
        values, vectors = np.linalg.eigh(covariance)
        assert values[1] == pytest.approx(20.0**2 / 12, rel=0.1), "the variance of a line of 20 pixels"
        assert values[0] < 0.6
        found = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])) % 180
        assert min(abs(found - angle), 180 - abs(found - angle)) < 2


def test_low_resolution_leaves_as_many_pixels_as_it_says():
    image = textured()
    coarse = degrade(image, "low_resolution", 14.0)
    spectrum = np.abs(np.fft.fftshift(np.fft.fft2(coarse[..., 0].astype(float) - coarse[..., 0].mean()))) ** 2
    middle = slice(56 - 10, 56 + 11)  # 14 pixels a side hold frequencies up to 7; cubic enlarging rolls off slowly
    assert spectrum[middle, middle].sum() > 0.97 * spectrum.sum()
    assert np.array_equal(degrade(image, "low_resolution", 112.0), image)


def test_jpeg_loses_more_with_more_strength():
    image = textured()
    losses = [np.abs(degrade(image, "jpeg", s).astype(float) - image).mean() for s in (5, 50, 90)]
    assert losses[0] < 3
    assert losses == sorted(losses)


@pytest.mark.parametrize(
    ("kind", "strength", "sentence"),
    [
        ("gausian", 1.0, "there is no degradation 'gausian'; did you mean 'gaussian'"),
        ("gaussian", 0.0, r"strength 0 of gaussian is outside 0.1 to 50 \(standard deviation"),
        ("jpeg", 101.0, "strength 101 of jpeg is outside 0 to 99"),
    ],
)
def test_what_makes_no_sense_is_refused(kind, strength, sentence):
    with pytest.raises(InputError, match=sentence):
        degrade(textured(), kind, strength)
