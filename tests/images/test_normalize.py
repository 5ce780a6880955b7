"""Normalising is exact: each float is the one nearest to the formula in float64."""

import dataclasses
import json

import pytest
import torch

from marginface.errors import InputError
from marginface.images.normalize import InputContract, normalize

FORMULAS = {"minus_one_to_one": lambda x: (x - 127.5) / 127.5, "zero_to_one": lambda x: x / 255}


def batch(num_images: int, size: int = 16) -> torch.Tensor:
    values = torch.randint(0, 256, (num_images, size, size, 3), generator=torch.Generator().manual_seed(0))
    return values.to(torch.uint8)


@pytest.mark.parametrize("num_images", [0, 1, 7, 8, 9, 21])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("colour_order", ["rgb", "bgr"])
@pytest.mark.parametrize("value_range", list(FORMULAS))
def test_every_value_is_the_float64_formula_rounded_once(num_images, channels_last, colour_order, value_range):
    images = batch(num_images)
    before = images.clone()
    contract = InputContract(input_size=16, colour_order=colour_order, value_range=value_range)
    floats = normalize(images, contract, channels_last=channels_last)
    stored = images.flip(3) if colour_order == "bgr" else images
    expected = FORMULAS[value_range](stored.double()).float().permute(0, 3, 1, 2)
    assert torch.equal(floats, expected)
    assert floats.dtype == torch.float32
    assert floats.is_contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    assert torch.equal(images, before)


def test_the_ends_of_the_range_are_exact():
    ends = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 4, 4, 3)
    assert normalize(ends, InputContract(input_size=4)).unique().tolist() == [-1.0, 1.0]
    assert normalize(ends, InputContract(input_size=4, value_range="zero_to_one")).unique().tolist() == [0.0, 1.0]


def test_the_contract_is_plain_data():
    contract = InputContract(input_size=64, colour_order="bgr")
    assert InputContract(**json.loads(json.dumps(dataclasses.asdict(contract)))) == contract


def test_another_size_is_refused_with_both_sizes():
    with pytest.raises(InputError, match="takes 112 x 112 pixels, the images have 16 x 16"):
        normalize(batch(2), InputContract())


def test_unknown_words_in_a_contract_are_refused():
    with pytest.raises(InputError, match="did you mean 'rgb'"):
        InputContract(colour_order="rbg")
    with pytest.raises(InputError, match="did you mean 'zero_to_one'"):
        InputContract(value_range="zero_one")


def test_floats_are_a_programming_error():
    with pytest.raises(ValueError, match="uint8"):
        normalize(torch.zeros(1, 4, 4, 3), InputContract(input_size=4))


@pytest.mark.parametrize("channels_last", [False, True])
def test_memory_that_is_given_is_filled_and_returned(channels_last):
    images = batch(5)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    out = torch.full((7, 3, 16, 16), 9.0).to(memory_format=layout)
    floats = normalize(images, InputContract(input_size=16), channels_last=channels_last, out=out)
    assert floats.data_ptr() == out.data_ptr()
    assert torch.equal(floats, normalize(images, InputContract(input_size=16)))
    assert (out[5:] == 9).all()
    for wrong in (out[:4], out.double(), out.to(memory_format=torch.preserve_format)[:, :, :8]):
        with pytest.raises(ValueError, match="out is"):
            normalize(images, InputContract(input_size=16), channels_last=channels_last, out=wrong)
    with pytest.raises(ValueError, match="not in memory as"):
        normalize(images, InputContract(input_size=16), channels_last=not channels_last, out=out)
