"""Circle loss: the paper's loss over one positive and all negatives, its gradient with constant weights."""

import math

import pytest
import torch

from marginface.margins import CircleConfig
from tests.helpers.cosine_softmax import drawn_cosines, losses_under

MARGIN, SCALE = 0.25, 16.0


def paper_loss(row, label):
    """log(1 + sum of exp(gamma a_n (s_n - m)) times exp(-gamma a_p (s_p - 1 + m))), the weights a taken as numbers."""
    a_p = max(1 + MARGIN - row[label].item(), 0.0)
    positive = (-SCALE * a_p * (row[label] - (1 - MARGIN))).exp()
    negatives = 0.0
    for j, s_n in enumerate(row):
        if j != label:
            negatives = negatives + (SCALE * max(s_n.item() + MARGIN, 0.0) * (s_n - MARGIN)).exp()
    return (1 + negatives * positive).log()


def test_loss_and_gradient_are_those_of_the_paper_class_by_class():
    cosines, labels = drawn_cosines(12, 10)
    ours = losses_under(CircleConfig().build(), cosines, labels, scale=SCALE)
    theirs = torch.stack([paper_loss(row, label) for row, label in zip(cosines, labels, strict=True)])
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(losses.sum(), cosines)[0] for losses in (ours, theirs)))


def test_slopes_are_the_weights_and_not_the_derivative_of_the_product():
    margin = CircleConfig().build()
    target = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64, requires_grad=True)
    value = margin(target, target)
    assert value.tolist() == pytest.approx([-0.9375, -0.1875, 0.0625])
    assert torch.autograd.grad(value.sum(), target)[0].tolist() == pytest.approx([1.25, 0.75, 0.25])  # not 2 - 2c
    others = torch.tensor([[-0.5], [0.0], [0.5]], dtype=torch.float64, requires_grad=True)
    weighed = margin.reweigh(others, value[:1].detach())
    assert weighed[:, 0].tolist() == pytest.approx([0.0, -0.0625, 0.1875])
    assert torch.autograd.grad(weighed.sum(), others)[0][:, 0].tolist() == pytest.approx([0.0, 0.25, 0.75])  # not 2c


def test_true_and_other_class_are_equal_on_the_circle():
    margin = CircleConfig(margin=MARGIN).build()
    angle = torch.linspace(0.3, math.pi - 0.3, 20, dtype=torch.float64)  # other classes below -m weigh nothing
    radius = math.sqrt(2) * MARGIN
    target, other = 1 - radius * angle.sin(), radius * angle.cos()
    kept = other > -MARGIN
    penalised = margin(target, target)
    torch.testing.assert_close(margin.reweigh(other[None], penalised)[0][kept], penalised[kept])
