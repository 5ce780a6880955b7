"""A draw belongs to its address: the same for the same address, as good as independent between addresses."""

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.images.augment import AugmentConfig, DegradeConfig
from marginface.images.augmentation import Draws, uniform
from marginface.images.augmentation.colour import GrayscaleConfig
from marginface.images.augmentation.geometry import CropConfig
from marginface.images.degrade import degrade


def flips(*, seed: int, epoch: int, num: int, probability: float = 0.5) -> np.ndarray:
    images = np.zeros((num, 1, 2, 3), np.uint8)
    images[:, 0, 1] = 1
    AugmentConfig(horizontal_flip=probability).build(seed=seed)(images, np.full(num, epoch), np.arange(num))
    return images[:, 0, 0, 0] == 1


def test_the_same_address_always_draws_the_same():
    np.testing.assert_array_equal(flips(seed=1, epoch=2, num=500), flips(seed=1, epoch=2, num=500))


@pytest.mark.parametrize("probability", [0.0, 0.2, 0.5, 1.0])
def test_the_share_of_flips_is_the_probability(probability):
    num = 20_000
    expected, error = probability, 4 * np.sqrt(probability * (1 - probability) / num)
    assert abs(flips(seed=0, epoch=0, num=num, probability=probability).mean() - expected) <= error


def test_seeds_epochs_and_neighbours_are_uncorrelated():
    base = flips(seed=0, epoch=0, num=20_000)
    others = [flips(seed=1, epoch=0, num=20_000), flips(seed=0, epoch=1, num=20_000), np.roll(base, 1)]
    for other in others:
        assert abs(np.corrcoef(base, other)[0, 1]) < 0.03


def test_seed_one_epoch_two_is_not_seed_two_epoch_one():
    assert (flips(seed=1, epoch=2, num=200) != flips(seed=2, epoch=1, num=200)).any()


def test_uniform_fills_the_unit_interval_evenly():
    draws = np.array([uniform(7, 0, i, stream=0) for i in range(20_000)])
    counts, _ = np.histogram(draws, bins=20, range=(0, 1))
    assert ((counts - 1000) ** 2 / 1000).sum() < 43.8  # chi-square, 19 degrees of freedom, p = 0.001
    assert uniform(7, 0, 1, stream=0) != uniform(7, 0, 1, stream=1)


def test_a_flip_mirrors_left_and_right_and_leaves_the_given_image_alone():
    image = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    before = image.copy()
    mirrored, _ = AugmentConfig(horizontal_flip=1.0).build(seed=0).alone(image, epoch=0, index=0)
    np.testing.assert_array_equal(mirrored, before[:, ::-1])
    np.testing.assert_array_equal(image, before)


def test_a_probability_outside_zero_to_one_is_refused():
    with pytest.raises(InputError, match="not a probability"):
        AugmentConfig(horizontal_flip=1.5)


def test_some_images_are_spoilt_by_their_address():
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    settings = DegradeConfig(kind="motion", strength=5, probability=0.25)
    augment = AugmentConfig(horizontal_flip=0.0, degrade=settings).build(seed=4)
    seen = [augment.alone(image, epoch=epoch, index=7)[0] for epoch in range(400)]
    spoilt = [epoch for epoch, one in enumerate(seen) if not np.array_equal(one, image)]
    assert 70 < len(spoilt) < 130
    for epoch in spoilt[:5]:
        expected = degrade(image, "motion", 5, chance=uniform(4, epoch, 7, stream=2))
        np.testing.assert_array_equal(seen[epoch], expected)
    with pytest.raises(InputError, match="strength 0 of gaussian is outside"):
        DegradeConfig(strength=0)
    with pytest.raises(InputError, match="probability 2 is not a probability"):
        DegradeConfig(strength=3, probability=2)


def test_operations_come_as_often_as_they_should_before_the_flip_and_with_their_strengths():
    image = np.random.default_rng(0).integers(1, 256, (32, 32, 3), dtype=np.uint8)
    operations = (CropConfig(probability=0.2), GrayscaleConfig(probability=0.5))
    augment = AugmentConfig(operations=operations, horizontal_flip=0.5).build(seed=9)
    images = np.repeat(image[None], 2000, axis=0)
    strengths = augment(images, np.zeros(2000, np.int64), np.arange(2000))
    happened = np.column_stack([strengths > 0, flips(seed=9, epoch=0, num=2000)])
    assert abs(happened.mean(axis=0) - (0.2, 0.5, 0.5)).max() < 0.045
    assert abs(np.corrcoef(happened.T) - np.eye(3)).max() < 0.08
    for i in range(20):
        expected, strong = image, np.zeros(2, np.float32)
        for k in np.flatnonzero(happened[i, :2]).tolist():
            expected, strong[k] = operations[k].apply(expected, Draws(9, 0, i, 1000 + k))
        np.testing.assert_array_equal(images[i], expected[:, ::-1] if happened[i, 2] else expected)
        np.testing.assert_array_equal(strengths[i], strong)


def test_a_preset_leaves_the_flips_of_a_plain_recipe_as_they_are():
    black = np.zeros((50, 8, 8, 3), np.uint8)
    black[:, :, 0] = 255
    plain, more = (AugmentConfig(preset=preset).build(seed=2) for preset in (None, "insightface_dali"))
    sides = []
    for augment in (plain, more):
        images = black.copy()
        augment(images, np.zeros(50, np.int64), np.arange(50))
        sides.append(images[:, :, :4].mean(axis=(1, 2, 3)) > images[:, :, 4:].mean(axis=(1, 2, 3)))
    np.testing.assert_array_equal(*sides)
    assert 10 < sides[0].sum() < 40


PINNED = [(0, 0, 195), (2, 4, 168), (7, 5, 64), (4, 4, 132)]


def test_what_an_address_draws_is_pinned_so_that_old_runs_can_be_resumed():
    """Recorded from this implementation: first row, first column and area of what a crop keeps."""
    image = np.full((16, 16, 3), 255, np.uint8)
    augment = AugmentConfig(operations=(CropConfig(),), horizontal_flip=0.0).build(seed=1)
    kept = [augment.alone(image, epoch=0, index=i)[0][:, :, 0] > 0 for i in range(4)]
    assert [(int(k.any(1).argmax()), int(k.any(0).argmax()), int(k.sum())) for k in kept] == PINNED
