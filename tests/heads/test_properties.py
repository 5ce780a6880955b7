"""Properties that hold for any batch, and for which margins and heads they hold.

Heads share all their code but the choice of classes, so all margins are tried on the dense head and a few on the two
others that differ most. A sampled head is tried at rate 1 only: at a lower one its draw belongs to places in the list
of classes, and a permuted list gets another draw.
"""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from marginface.config import load
from marginface.heads import HEADS
from marginface.heads import chunked_softmax as chunked
from marginface.margins import MARGINS

DIM, SCALE = 8, 16.0
DENSE = {"kind": "dense"}
OTHER_HEADS = [
    {"kind": "sampled", "rate": 1.0},
    {"kind": "dense", "sub_centres": 2, "spheres": {"count": 2}, "memory": "recompute"},
]
A_FEW_MARGINS = ["arcface", "magface", "adaface", "mv_softmax"]
PAIRS = [(DENSE, margin) for margin in MARGINS] + [(head, margin) for head in OTHER_HEADS for margin in A_FEW_MARGINS]

# Margins drawn by the plus forms belong to the rank of a cosine, those of the plain forms to a place in the batch.
PLUS = {kind: {"kind": kind, "plus": True} for kind in ("elasticface_arc", "elasticface_cos")}

LENGTHS_COUNT = {"softmax": "its logits are dot products"}
MAY_LOWER_THE_LOSS = {
    "softmax": "its logits are dot products, not cosines",
    "adacos": "it has no margin but a scale of its own for each batch",
    "curricularface": "early in training it turns the cosines of hard classes down, by more than a small margin adds",
}


def pairs(exceptions=()):
    kept = [(head, margin) for head, margin in PAIRS if margin not in exceptions]
    names = ["-".join(str(value) for value in (*head.values(), margin)).replace(" ", "") for head, margin in kept]
    return pytest.mark.parametrize(("head", "kind"), kept, ids=names)


few = settings(max_examples=8, deadline=None)
batches = given(seed=st.integers(0, 2**31), num_classes=st.integers(2, 40), size=st.integers(1, 12))


@pytest.fixture(autouse=True, scope="module")
def _small_chunks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunked, "FEWEST_PER_CHUNK", 8)
        patch.setattr(chunked, "ENTRIES_PER_CHUNK", 1)
        yield


def build(head, kind, num_classes):
    scale = 1.0 if kind == "softmax" else SCALE
    config = load(HEADS[head["kind"]], {**head, "margin": PLUS.get(kind, kind), "scale": scale})
    return config.build(num_classes=num_classes, embedding_dim=DIM)


def step(head, embeddings, labels):
    """Return loss and gradients of one step; the head given keeps its state, and the draws are always the same."""
    torch.manual_seed(11)
    head = copy.deepcopy(head)
    embeddings = embeddings.clone().requires_grad_()
    output = head(embeddings, labels)
    output.loss.backward()
    gradient = head.class_centres.grad
    return output, embeddings.grad, gradient.to_dense() if gradient.is_sparse else gradient


def draw_batch(seed, num_classes, size):
    generator = torch.Generator().manual_seed(seed)
    embeddings = 5 * torch.randn(size, DIM, generator=generator)
    return embeddings, torch.randint(num_classes, (size,), generator=generator), generator


@pairs()
@few
@batches
def test_permuting_samples_permutes_their_gradients(head, kind, seed, num_classes, size):
    head = build(head, kind, num_classes)
    embeddings, labels, generator = draw_batch(seed, num_classes, size)
    order = torch.randperm(size, generator=generator)
    output, grad, centres_grad = step(head, embeddings, labels)
    again, again_grad, again_centres_grad = step(head, embeddings[order], labels[order])
    torch.testing.assert_close(again.sample_loss_B, output.sample_loss_B[order], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(again_grad, grad[order], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(again_centres_grad, centres_grad, rtol=1e-4, atol=1e-4)


@pairs()
@few
@batches
def test_permuting_classes_permutes_their_gradients(head, kind, seed, num_classes, size):
    head, other = build(head, kind, num_classes), build(head, kind, num_classes)
    embeddings, labels, generator = draw_batch(seed, num_classes, size)
    order = torch.randperm(num_classes, generator=generator)
    with torch.no_grad():
        other.class_centres.copy_(head.class_centres[order])
    output, grad, centres_grad = step(head, embeddings, labels)
    again, again_grad, again_centres_grad = step(other, embeddings, order.argsort()[labels])
    torch.testing.assert_close(again.sample_loss_B, output.sample_loss_B, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(again_grad, grad, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(again_centres_grad, centres_grad[order], rtol=1e-4, atol=1e-4)


@pairs(exceptions=MAY_LOWER_THE_LOSS)
@few
@batches
def test_the_loss_is_never_below_that_without_a_margin_at_equal_cosines(head, kind, seed, num_classes, size):
    embeddings, labels, _ = draw_batch(seed, num_classes, size)
    with_margin, *_ = step(build(head, kind, num_classes), embeddings, labels)
    without, *_ = step(build(head, "normface", num_classes), embeddings, labels)
    assert torch.equal(with_margin.target_cos_B, without.target_cos_B)
    assert (with_margin.sample_loss_B >= without.sample_loss_B - 1e-6).all()


@pytest.mark.parametrize("margin", [{"kind": "adacos"}, {"kind": "curricularface", "margin": 0.05}])
def test_what_is_excepted_lowers_some_loss(margin):
    configs = [load(HEADS["dense"], {"margin": m, "scale": SCALE}) for m in (margin, "normface")]
    heads = [config.build(num_classes=40, embedding_dim=64) for config in configs]
    generator = torch.Generator().manual_seed(5)
    embeddings, labels = torch.randn(12, 64, generator=generator), torch.arange(12)
    embeddings[::2] += 100 * heads[0].class_centres.detach()[labels[::2]]  # half of the batch is near its centres
    with_margin, without = (step(head, embeddings, labels)[0].sample_loss_B for head in heads)
    assert (with_margin < without).any()


@pairs(exceptions=LENGTHS_COUNT)
@few
@batches
def test_lengths_of_centres_change_no_loss_and_gradients_stay_tangent(head, kind, seed, num_classes, size):
    head = build(head, kind, num_classes)
    embeddings, labels, generator = draw_batch(seed, num_classes, size)
    output, _, centres_grad = step(head, embeddings, labels)
    along = (centres_grad * head.class_centres.detach()).sum(dim=-1)
    assert along.abs().max() <= 1e-5 * max(1.0, centres_grad.abs().max().item())
    lengths = 50.0 * torch.rand(head.class_centres.shape[:-1], generator=generator)[..., None] + 1.0
    with torch.no_grad():
        head.class_centres.mul_(lengths)
    rescaled, _, smaller_grad = step(head, embeddings, labels)
    torch.testing.assert_close(rescaled.sample_loss_B, output.sample_loss_B, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(smaller_grad * lengths, centres_grad, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("unsampled", ["frozen", "decayed"])
@pytest.mark.parametrize("kind", MARGINS)
@few
@batches
def test_a_sampled_head_with_rate_one_is_the_dense_head(unsampled, kind, seed, num_classes, size):
    sampled = build({"kind": "sampled", "rate": 1.0, "unsampled": unsampled}, kind, num_classes)
    embeddings, labels, _ = draw_batch(seed, num_classes, size)
    output, grad, centres_grad = step(sampled, embeddings, labels)
    whole, whole_grad, whole_centres_grad = step(build(DENSE, kind, num_classes), embeddings, labels)
    assert torch.equal(output.loss, whole.loss)
    assert torch.equal(output.sample_loss_B, whole.sample_loss_B)
    assert torch.equal(grad, whole_grad)
    assert torch.equal(centres_grad, whole_centres_grad)
