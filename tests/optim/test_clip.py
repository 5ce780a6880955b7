"""Clipping keeps the direction, bounds the length, and says what the length was."""

import math

import pytest
import torch
from torch import nn

from marginface.optim import clip_gradients


def two_parameters():
    first, second, third = (nn.Parameter(torch.zeros(shape)) for shape in [(2,), (1, 2), (3,)])
    first.grad, second.grad = torch.tensor([3.0, 0.0]), torch.tensor([[0.0, 4.0]])  # third has none
    return [first, second, third]


def test_norm_is_that_before_clipping_over_all_parameters():
    parameters = two_parameters()
    assert clip_gradients(parameters, 1.0).item() == pytest.approx(5.0)
    assert parameters[0].grad.tolist() == pytest.approx([0.6, 0.0], abs=1e-5)
    assert parameters[1].grad[0].tolist() == pytest.approx([0.0, 0.8], abs=1e-5)


@pytest.mark.parametrize("max_norm", [5.1, None])
def test_short_gradients_and_no_limit_leave_them_as_they_are(max_norm):
    parameters = two_parameters()
    assert clip_gradients(parameters, max_norm).item() == pytest.approx(5.0)
    assert parameters[0].grad.tolist() == [3.0, 0.0]


def test_a_generator_of_parameters_will_do():
    parameters = two_parameters()
    clip_gradients((p for p in parameters), 1.0)
    assert parameters[1].grad.abs().max() < 1


def test_infinite_gradients_show_in_the_norm():
    parameters = two_parameters()
    parameters[0].grad[1] = math.inf
    assert not clip_gradients(parameters, 1.0).isfinite()


def test_no_gradients_have_no_length():
    assert clip_gradients([nn.Parameter(torch.zeros(2))], 1.0).item() == 0.0


def test_a_limit_of_zero_is_refused():
    with pytest.raises(ValueError, match="max_norm is 0"):
        clip_gradients(two_parameters(), 0.0)
