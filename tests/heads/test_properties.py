"""Properties that hold for any batch, any margin and any head."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from marginface.config import load
from marginface.heads import HEADS
from marginface.margins import MARGINS

pairs = pytest.mark.parametrize(("head_kind", "kind"), [(head, margin) for head in HEADS for margin in MARGINS])
few = settings(max_examples=15, deadline=None)
DIM = 8
PLUS = {"kind": "elasticface_arc", "plus": True}, {"kind": "elasticface_cos", "plus": True}
SETTINGS = {case["kind"]: case for case in PLUS}  # drawn margins then belong to ranks, not to places in the batch


def build(head_kind, kind, num_classes):
    config = load(HEADS[head_kind], {"kind": head_kind, "margin": SETTINGS.get(kind, kind), "scale": 16.0})
    return config.build(num_classes=num_classes, embedding_dim=DIM)


def step(head, embeddings, labels):
    """Return loss and gradients of one step; the head given keeps its state, and the draws are always the same."""
    torch.manual_seed(11)
    head = copy.deepcopy(head)
    embeddings = embeddings.clone().requires_grad_()
    output = head(embeddings, labels)
    output.loss.backward()
    return output, embeddings.grad, head.class_centres.grad.clone()


def draw_batch(seed, num_classes, size):
    generator = torch.Generator().manual_seed(seed)
    embeddings = 5 * torch.randn(size, DIM, generator=generator)
    return embeddings, torch.randint(num_classes, (size,), generator=generator), generator


batches = given(seed=st.integers(0, 2**31), num_classes=st.integers(2, 40), size=st.integers(1, 12))


@pairs
@few
@batches
def test_permuting_samples_permutes_their_gradients(head_kind, kind, seed, num_classes, size):
    head = build(head_kind, kind, num_classes)
    embeddings, labels, generator = draw_batch(seed, num_classes, size)
    order = torch.randperm(size, generator=generator)
    output, grad, centres_grad = step(head, embeddings, labels)
    again, again_grad, again_centres_grad = step(head, embeddings[order], labels[order])
    torch.testing.assert_close(again.sample_loss_B, output.sample_loss_B[order], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(again_grad, grad[order], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(again_centres_grad, centres_grad, rtol=1e-4, atol=1e-4)


@pairs
@few
@batches
def test_permuting_classes_permutes_their_gradients(head_kind, kind, seed, num_classes, size):
    head = build(head_kind, kind, num_classes)
    embeddings, labels, generator = draw_batch(seed, num_classes, size)
    order = torch.randperm(num_classes, generator=generator)
    output, grad, centres_grad = step(head, embeddings, labels)
    other = build(head_kind, kind, num_classes)
    with torch.no_grad():
        other.class_centres.copy_(head.class_centres[order])
    again, again_grad, again_centres_grad = step(other, embeddings, order.argsort()[labels])
    torch.testing.assert_close(again.sample_loss_B, output.sample_loss_B, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(again_grad, grad, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(again_centres_grad, centres_grad[order], rtol=1e-4, atol=1e-4)


@pairs
@few
@batches
def test_a_margin_never_lowers_the_loss(head_kind, kind, seed, num_classes, size):
    embeddings, labels, _ = draw_batch(seed, num_classes, size)
    with_margin = build(head_kind, kind, num_classes)(embeddings, labels)
    without = build(head_kind, "normface", num_classes)(embeddings, labels)
    assert torch.equal(with_margin.target_cos_B, without.target_cos_B)
    assert (with_margin.sample_loss_B >= without.sample_loss_B - 1e-6).all()


@pairs
@few
@batches
def test_rescaling_centres_changes_no_loss_and_gradients_stay_tangent(head_kind, kind, seed, num_classes, size):
    head = build(head_kind, kind, num_classes)
    embeddings, labels, _ = draw_batch(seed, num_classes, size)
    output, _, centres_grad = step(head, embeddings, labels)
    along = (centres_grad * head.class_centres.detach()).sum(dim=1)
    assert along.abs().max() <= 1e-5 * max(1.0, centres_grad.abs().max().item())
    with torch.no_grad():
        head.class_centres.mul_(50.0)
    rescaled, _, smaller_grad = step(head, embeddings, labels)
    torch.testing.assert_close(rescaled.sample_loss_B, output.sample_loss_B, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(smaller_grad * 50.0, centres_grad, rtol=1e-3, atol=1e-3)
