"""Masks lie over nose and mouth, glasses over the eyes, at any size of crop; the rest of the face stays."""

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.images.align import template
from marginface.images.augmentation import Draws
from marginface.images.augmentation.occlusion import MedicalMaskConfig, SunglassesConfig

EYES, MOUTH_AND_NOSE = (0, 1), (2, 3, 4)


@pytest.mark.parametrize("size", [48, 112, 224])
@pytest.mark.parametrize(
    "config, hidden, seen",
    [(MedicalMaskConfig(), MOUTH_AND_NOSE, EYES), (SunglassesConfig(), EYES, (3, 4))],
    ids=["mask", "sunglasses"],
)
def test_it_hides_what_it_should_and_nothing_else(config, hidden, seen, size):
    image = np.full((size, size, 3), (200, 20, 220), np.uint8)  # a colour that no cloth and no glass has
    looks = set()
    for i in range(25):
        out, strength = config.apply(image, Draws(0, i))
        changed = (np.abs(out.astype(int) - image) > 30).any(axis=2)
        places = template(size).round().astype(int)
        assert all(changed[y, x] for x, y in places[list(hidden)])
        assert not any(changed[y, x] for x, y in places[list(seen)])
        assert 0.02 < strength < 0.4
        looks.add(out.tobytes())
    assert len(looks) == 25
    assert (image == (200, 20, 220)).all()


def test_the_strength_is_the_share_of_the_image_that_is_covered():
    white, black = np.full((112, 112, 3), 255, np.uint8), np.zeros((112, 112, 3), np.uint8)
    config = MedicalMaskConfig()
    (on_white, strength), (on_black, _) = (config.apply(image, Draws(3)) for image in (white, black))
    hidden = 1 - (on_white.astype(int) - on_black).mean() / 255  # where nothing shines through, both are the same
    assert strength == pytest.approx(hidden, abs=0.03)  # straps are not counted


def test_settings_out_of_range_are_refused():
    with pytest.raises(InputError, match="medical_mask: jitter 30 is outside 0 to 20"):
        MedicalMaskConfig(jitter=30)
    with pytest.raises(InputError, match="sunglasses: opacity 0.5 to 2 is no range"):
        SunglassesConfig(opacity=(0.5, 2.0))
