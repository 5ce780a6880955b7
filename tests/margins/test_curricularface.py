"""CurricularFace: the paper's loss with its hard negatives, and the order and place of its running mean."""

import copy
import math

import pytest
import torch

from marginface.config import load
from marginface.heads import HEADS
from marginface.margins import CurricularFaceConfig, arcface, curricularface
from tests.helpers.cosine_softmax import drawn_cosines, losses_under

MARGIN, SCALE = 0.5, 8.0


def paper_loss(row, label, t):
    """One row, class by class, of angles: modulate what beats the true class, then softmax; t is a constant."""
    theta = row[label].arccos()
    past_pi = theta.item() + MARGIN > math.pi
    target = row[label] - MARGIN * math.sin(MARGIN) if past_pi else (theta + MARGIN).cos()
    logits = []
    for j, cosine in enumerate(row):
        hard = cosine.item() > target.item()
        logits.append(target if j == label else cosine * (t + cosine) if hard else cosine)
    logits = SCALE * torch.stack(logits)
    return logits.logsumexp(dim=0) - logits[label]


def test_loss_and_gradient_are_those_of_the_paper_class_by_class():
    cosines, labels = drawn_cosines(12, 10)
    margin = CurricularFaceConfig().build().eval()
    margin.t.fill_(0.37)
    ours = losses_under(margin, cosines, labels, scale=SCALE)
    theirs = torch.stack([paper_loss(row, label, margin.t.item()) for row, label in zip(cosines, labels, strict=True)])
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(losses.sum(), cosines)[0] for losses in (ours, theirs)))
    assert (arcface(cosines, MARGIN)[torch.arange(12), labels] < -1).any(), "a row past pi is among them"


def test_hard_ones_count_less_at_first_and_more_later():
    hard, penalised = torch.tensor([[0.6]]), torch.tensor([0.2])
    values = [curricularface(hard, penalised, t).item() for t in (0.0, 0.3, 0.7)]
    assert values == pytest.approx([0.36, 0.54, 0.78])
    easy = torch.tensor([[0.2, 0.1]])
    assert torch.equal(curricularface(easy, penalised, 0.3), easy)


def test_slope_of_a_hard_negative_is_t_plus_twice_its_cosine():
    cosines = torch.tensor([[0.6, -0.1], [-0.4, 0.1]], dtype=torch.float64, requires_grad=True)
    margin = CurricularFaceConfig().build()
    margin.t.fill_(0.3)
    margin.reweigh(cosines, torch.tensor([-0.3, 0.0], dtype=torch.float64)).sum().backward()
    expected = torch.tensor([[0.3 + 1.2, 1.0], [1.0, 0.3 + 0.2]], dtype=torch.float64)
    torch.testing.assert_close(cosines.grad, expected, rtol=1e-6, atol=0)


def test_the_running_mean_moves_first_and_is_used_then():
    margin = CurricularFaceConfig().build()
    penalised = margin(torch.tensor([0.2, 0.6]), torch.ones(2))
    assert margin.t.item() == pytest.approx(0.01 * 0.4)
    assert margin.reweigh(torch.tensor([[0.9, 0.9]]), penalised)[0, 0].item() == pytest.approx(0.9 * 0.904)
    margin(torch.tensor([0.8]), torch.ones(1))
    assert margin.t.item() == pytest.approx(0.01 * 0.8 + 0.99 * 0.004)


def test_evaluation_leaves_the_running_mean_alone_and_copies_have_their_own():
    margin = CurricularFaceConfig(ema_weight=0.5).build()
    margin(torch.tensor([0.4]), torch.ones(1))
    twin = copy.deepcopy(margin)
    margin.eval()(torch.tensor([0.9]), torch.ones(1))
    assert margin.t.item() == pytest.approx(0.2)
    twin(torch.tensor([0.8]), torch.ones(1))
    assert (margin.t.item(), twin.t.item()) == (pytest.approx(0.2), pytest.approx(0.5))


def test_the_running_mean_keeps_its_memory_and_gets_no_gradient():
    margin = CurricularFaceConfig().build()
    place = margin.t.data_ptr()
    cosines = torch.linspace(-1, 1, 9, requires_grad=True)
    margin(cosines, torch.ones(9)).sum().backward()
    assert margin.t.data_ptr() == place
    assert not margin.t.requires_grad
    assert list(margin.state_dict()) == ["t"]


@pytest.mark.parametrize("memory", ["store", "recompute"])
def test_backward_uses_the_mean_of_its_own_batch_whatever_came_after(memory):
    margin = {"kind": "curricularface", "ema_weight": 0.5}
    head = load(HEADS["dense"], {"scale": 16, "memory": memory, "margin": margin}).build(
        num_classes=50, embedding_dim=8
    )
    twin, labels = copy.deepcopy(head), torch.arange(20)
    generator = torch.Generator().manual_seed(7)
    embeddings = torch.randn(20, 8, generator=generator).requires_grad_()
    near_their_centres = head.class_centres.detach()[:20] * 300
    loss = head(embeddings, labels).loss
    head(near_their_centres, labels)  # moves the mean from about 0 to about 0.5
    (gradient,) = torch.autograd.grad(loss, embeddings)
    torch.testing.assert_close(gradient, torch.autograd.grad(twin(embeddings, labels).loss, embeddings)[0])
