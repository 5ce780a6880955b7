"""MV-Softmax: the paper's re-weighted softmax, both emphases and both targets."""

import math

import pytest
import torch

from marginface.margins import MVSoftmaxConfig, arcface, mv_softmax
from tests.helpers.cosine_softmax import drawn_cosines, losses_under

SCALE = 8.0


def paper_loss(row, label, *, target, t, emphasis):
    """-log p with the factor h in front of the exponentials of mis-classifying classes, as the paper writes it."""
    theta = row[label].arccos()
    if target == "am":
        penalised = row[label] - 0.35
    elif theta.item() + 0.35 > math.pi:
        penalised = row[label] - 0.35 * math.sin(0.35)
    else:
        penalised = (theta + 0.35).cos()
    below = (SCALE * penalised).exp()
    for k, cosine in enumerate(row):
        if k != label:
            wrong = 1.0 if penalised.item() - cosine.item() < 0 else 0.0
            h = (SCALE * t * wrong * (cosine + 1.0 if emphasis == "adaptive" else torch.ones(()))).exp()
            below = below + h * (SCALE * cosine).exp()
    return -((SCALE * penalised).exp() / below).log()


@pytest.mark.parametrize("target", ["am", "arc"])
@pytest.mark.parametrize("emphasis", ["adaptive", "fixed"])
def test_loss_and_gradient_are_those_of_the_paper_class_by_class(target, emphasis):
    cosines, labels = drawn_cosines(12, 10)
    margin = MVSoftmaxConfig(target=target, emphasis=emphasis, weight=1.2).build()
    ours = losses_under(margin, cosines, labels, scale=SCALE)
    rows = zip(cosines, labels, strict=True)
    theirs = torch.stack([paper_loss(row, y, target=target, t=0.2, emphasis=emphasis) for row, y in rows])
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(losses.sum(), cosines)[0] for losses in (ours, theirs)))


def test_a_mistaken_class_gets_the_numbers_of_the_formula():
    cosines, penalised = torch.tensor([[0.5], [0.0], [-0.2], [-0.3]]), torch.tensor([-0.2])
    adaptive = mv_softmax(cosines, penalised, weight=1.12)[:, 0].tolist()
    assert adaptive == pytest.approx([0.68, 0.12, -0.2, -0.3])
    fixed = mv_softmax(cosines, penalised, weight=1.12, emphasis="fixed")[:, 0].tolist()
    assert fixed == pytest.approx([0.62, 0.12, -0.2, -0.3])


def test_the_true_class_has_its_margin_everywhere():
    cosines = torch.linspace(-1, 1, 41, dtype=torch.float64)
    torch.testing.assert_close(MVSoftmaxConfig().build()(cosines, cosines), cosines - 0.35)
    arc = MVSoftmaxConfig(target="arc", margin=0.5).build()
    torch.testing.assert_close(arc(cosines, cosines), arcface(cosines, 0.5))
