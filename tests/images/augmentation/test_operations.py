"""Every operation keeps its promises; presets are what was published; recipes name both."""

import numpy as np
import pytest

from marginface.config import dump, load
from marginface.errors import InputError
from marginface.images.augment import AugmentConfig
from marginface.images.augmentation import OPERATIONS, PRESETS, Draws
from marginface.images.augmentation.operations import OneOfConfig
from tests.helpers.synthetic import face

MADE = [made for kind, made in OPERATIONS.items() if kind != "one_of"]


@pytest.mark.parametrize("operation", MADE, ids=lambda made: made.kind)
@pytest.mark.parametrize("size", [48, 112])
def test_shape_and_type_stay_the_same_address_repeats_and_the_given_image_is_never_touched(operation, size):
    image = face(identity=0, image=0, size=size)
    before, looks = image.copy(), set()
    image.flags.writeable = False
    for i in range(12):
        out, strength = operation().apply(image, Draws(0, i))
        again, same = operation().apply(image, Draws(0, i))
        assert (out.shape, out.dtype) == (image.shape, np.uint8)
        np.testing.assert_array_equal(out, again)
        assert strength == same
        assert 0 <= strength <= 1.5
        looks.add(out.tobytes())
    np.testing.assert_array_equal(image, before)
    assert len(looks) > (1 if operation.kind not in ("grayscale",) else 0)


def test_kinds_are_the_keys_of_the_registry():
    assert {kind: made.__dataclass_fields__["kind"].default for kind, made in OPERATIONS.items()} == {
        kind: kind for kind in OPERATIONS
    }


def test_presets_have_the_published_order_and_probabilities():
    def outline(name):
        return [(op.kind, op.probability) for op in PRESETS[name]]

    assert outline("adaface") == [("crop", 0.2), ("low_resolution", 0.2), ("photometric", 0.2)]
    assert outline("insightface_dali") == [
        ("low_resolution", 0.1),
        ("window_blur", 0.2),
        ("hue_saturation", 0.2),
        ("grayscale", 0.1),
    ]
    assert outline("cvlface") == [("affine", 1.0), ("one_of", 0.2), ("one_of", 0.2), ("random_photometric", 1.0)]


def test_one_of_does_exactly_one_as_likely_as_it_says():
    image = face(identity=0, image=0, size=48)
    choice = load(
        OneOfConfig,
        {"choices": [{"kind": "grayscale", "probability": 0.3}, {"kind": "holes", "probability": 0.7}]},
    )
    outs = [choice.apply(image, Draws(0, i)) for i in range(500)]
    grey = sum(strength == 1 for _, strength in outs)
    assert 110 < grey < 190  # 150, standard deviation 10
    with pytest.raises(InputError, match=r"add up to 0\.3; they have to add up to 1"):
        load(OneOfConfig, {"choices": [{"kind": "grayscale", "probability": 0.3}]})


def test_a_recipe_names_a_preset_and_operations_and_comes_back_as_it_was():
    given = {
        "preset": "adaface",
        "operations": [
            {"kind": "medical_mask", "probability": 0.1},
            {"kind": "one_of", "choices": [{"kind": "jpeg", "quality": [30, 60]}]},
        ],
    }
    config = load(AugmentConfig, given)
    assert [op.kind for op in config.all_operations()] == [
        "crop",
        "low_resolution",
        "photometric",
        "medical_mask",
        "one_of",
    ]
    assert load(AugmentConfig, dump(config)) == config
    with pytest.raises(InputError, match="no augmentation preset 'adafase'; did you mean 'adaface'"):
        load(AugmentConfig, {"preset": "adafase"})
    with pytest.raises(InputError, match=r"operations\[0\].kind: there is no operation 'crob'; did you mean 'crop'"):
        load(AugmentConfig, {"operations": [{"kind": "crob"}]})
    with pytest.raises(InputError, match=r"operations\[0\].area"):
        load(AugmentConfig, {"operations": [{"kind": "crop", "area": "all"}]})
