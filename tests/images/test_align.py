"""Alignment puts landmarks where published models expect them, and agrees with scikit-image."""

import numpy as np
import pytest
from skimage.transform import SimilarityTransform

from marginface.errors import InputError
from marginface.images.align import ARCFACE_TEMPLATE_112, align, crop, similarity_transform, template


@pytest.mark.parametrize("size", [64, 112, 128, 224, 256])
def test_transform_equals_scikit_image_on_noisy_rotated_landmarks(size):
    rng = np.random.default_rng(3)
    for _ in range(20):
        turn = rng.uniform(-np.pi, np.pi)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        points = (
            ARCFACE_TEMPLATE_112 @ rotation.T * rng.uniform(0.3, 8)
            + rng.uniform(-500, 500, 2)
            + rng.normal(0, 4, (5, 2))
        )
        oracle = SimilarityTransform.from_estimate(points, template(size).astype(np.float64))
        np.testing.assert_allclose(similarity_transform(points, size), oracle.params[:2], rtol=1e-9, atol=1e-7)


def test_templates_of_other_sizes_follow_the_112_and_128_rules():
    np.testing.assert_allclose(template(224), ARCFACE_TEMPLATE_112 * 2)
    np.testing.assert_allclose(template(56), ARCFACE_TEMPLATE_112 / 2)
    np.testing.assert_allclose(template(128), ARCFACE_TEMPLATE_112 + np.array([8, 0]), rtol=1e-6)
    np.testing.assert_allclose(template(256), (ARCFACE_TEMPLATE_112 + np.array([8, 0])) * 2, rtol=1e-6)


def test_landmarks_already_at_the_template_leave_the_image_unchanged():
    image = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    np.testing.assert_array_equal(align(image, ARCFACE_TEMPLATE_112), image)


def test_a_dot_at_each_landmark_lands_at_the_template():
    image = np.zeros((300, 400, 3), np.uint8)
    points = (ARCFACE_TEMPLATE_112 * 1.5 + [90, 40]).round()
    for x, y in points.astype(int):
        image[y - 2 : y + 3, x - 2 : x + 3] = 255
    crop = align(image, points)
    for x, y in ARCFACE_TEMPLATE_112.round().astype(int):
        assert crop[y, x].min() > 200
    assert crop[0, 0].max() == 0


def test_outside_the_image_is_black():
    image = np.full((112, 112, 3), 200, np.uint8)
    crop = align(image, ARCFACE_TEMPLATE_112 - [60, 0])
    assert (crop[:, :50] == 0).all()
    assert (crop[:, 70:110] == 200).all()


@pytest.mark.parametrize(
    "points, words",
    [
        (np.zeros((68, 2)), "five finite landmarks"),
        (np.full((5, 2), np.nan), "five finite landmarks"),
        (np.full((5, 2), 7.0), "nothing to align by"),
    ],
)
def test_unusable_landmarks_are_refused_in_words(points, words):
    with pytest.raises(InputError, match=words):
        similarity_transform(points, 112)


def test_a_large_photograph_is_averaged_before_it_is_sampled():
    noise = np.random.default_rng(0).integers(0, 256, (1350, 1350, 3), dtype=np.uint8)
    landmarks = ARCFACE_TEMPLATE_112 * 6 + 200
    assert crop(noise, landmarks).std() < 0.4 * align(noise, landmarks).std()


def test_a_crop_at_its_own_scale_is_what_align_makes():
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    landmarks = ARCFACE_TEMPLATE_112 * 1.3 + 20
    np.testing.assert_array_equal(crop(noise, landmarks), align(noise, landmarks))
