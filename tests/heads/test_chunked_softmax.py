"""The chunked softmax by itself: what heads of any kind build on.

Letters: G rows, C classes, D dimensions.
"""

import pytest
import torch
import torch.nn.functional as F

from marginface.distributed import RowExchange
from marginface.heads import chunked_softmax as chunked
from marginface.heads.chunked_softmax import ChunkedSoftmax, Geometry
from marginface.heads.class_rows import AllRows
from marginface.heads.workspace import Workspace

PLAIN = Geometry()
either_memory = pytest.mark.parametrize("store", [True, False], ids=["store", "recompute"])


@pytest.fixture
def chunks_of(monkeypatch):
    """Return a function that sets how many classes a chunk has."""

    def set_size(classes):
        monkeypatch.setattr(chunked, "FEWEST_PER_CHUNK", classes)
        monkeypatch.setattr(chunked, "ENTRIES_PER_CHUNK", 1)

    return set_size


def run(unit, centres, labels, *, scale=16.0, store=True, geometry=PLAIN, reweigh=None):
    """Return targets and rest, (G,) each, of one batch on one rank; rows whose label is not here have label -1."""
    workspace = Workspace()
    mine = (labels >= 0).nonzero()[:, 0]
    softmax = ChunkedSoftmax(
        unit.detach(),
        AllRows(centres.detach(), workspace),
        labels[mine],
        mine,
        geometry=geometry,
        exchange=RowExchange.alone(labels),
        workspace=workspace,
        store=store,
    )
    target, handle = softmax.targets(unit, centres)
    rest = softmax.rest(handle, [scale] * geometry.spheres, [reweigh] * geometry.spheres)
    return target.squeeze(0), rest.squeeze(0)


def definition(unit, centres, labels, *, scale=16.0, normalised=True):
    """Return the same by plain torch."""
    cosines = unit @ (F.normalize(centres) if normalised else centres).T
    true = F.one_hot(labels, len(centres)).bool()
    return cosines[true], (scale * cosines).masked_fill(true, -torch.inf).logsumexp(dim=1)


def batch(num_classes=20, *, dim=5, dtype=torch.float64, length=1.0):
    generator = torch.Generator().manual_seed(0)
    unit = F.normalize(torch.randn(9, dim, generator=generator, dtype=torch.float64)).to(dtype) * length
    centres = torch.randn(num_classes, dim, generator=generator, dtype=torch.float64).to(dtype)
    labels = torch.tensor([0, 2, 3, 6, 7, 19, 19, 5, 0]) % num_classes
    return unit.requires_grad_(), centres.requires_grad_(), labels


def gradients(target, rest, unit, centres, *, weights):
    """Return the gradients of a weighted sum; any weights, not only those of a softmax."""
    weights = weights.to(target)
    return torch.autograd.grad((weights * target + weights.flip(0) * rest).sum(), [unit, centres])


@either_memory
@pytest.mark.parametrize("classes", [1, 3, 7, 20, 2048])
def test_target_and_rest_equal_their_definition_for_any_chunk(chunks_of, store, classes):
    chunks_of(classes)
    unit, centres, labels = batch()
    ours, theirs = run(unit, centres, labels, store=store), definition(unit, centres, labels)
    torch.testing.assert_close(ours, theirs)
    for weights in (torch.linspace(0.1, 3, 9), torch.linspace(-2, 3, 9), -torch.ones(9), torch.arange(9) % 2):
        torch.testing.assert_close(
            gradients(*run(unit, centres, labels, store=store), unit, centres, weights=weights),
            gradients(*definition(unit, centres, labels), unit, centres, weights=weights),
        )


@either_memory
def test_dot_products_equal_their_definition(chunks_of, store):
    chunks_of(3)
    unit, centres, labels = batch(length=4.0)
    geometry, weights = Geometry(normalised=False), torch.linspace(-2, 3, 9)
    ours = run(unit, centres, labels, scale=1.0, store=store, geometry=geometry)
    theirs = definition(unit, centres, labels, scale=1.0, normalised=False)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(
        gradients(*ours, unit, centres, weights=weights), gradients(*theirs, unit, centres, weights=weights)
    )


@either_memory
@pytest.mark.parametrize("scale", [60.0, 256.0, 5000.0])
def test_a_scale_whose_exponentials_overflow_float32_is_no_worse_than_others(chunks_of, store, scale):
    chunks_of(7)
    unit, centres, labels = batch(dtype=torch.float32)
    wide = [x.detach().double().requires_grad_() for x in (unit, centres)]
    ours, theirs = run(unit, centres, labels, scale=scale, store=store), definition(*wide, labels, scale=scale)
    assert scale < 88 or not torch.tensor(scale).exp().isfinite()
    weights = torch.linspace(-2, 3, 9)
    # A logit of float32 is right to scale x 6e-8, and so is the exponential of their differences.
    tolerance = {"rtol": 2e-6 * scale, "atol": 1e-5}
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-6, atol=1e-6)
    grads = gradients(*ours, unit, centres, weights=weights), gradients(*theirs, *wide, weights=weights)
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a.double() / scale, b / scale, **tolerance)


@either_memory
def test_the_path_with_a_maximum_gives_what_the_path_without_gives(chunks_of, store, monkeypatch):
    chunks_of(3)
    unit, centres, labels = batch(dtype=torch.float32)
    weights = torch.linspace(-2, 3, 9)
    without = run(unit, centres, labels, scale=64.0, store=store)
    without = (*without, *gradients(*without, unit, centres, weights=weights))
    monkeypatch.setattr(chunked, "LARGEST_EXPONENT", 1.0)
    shifted = run(unit, centres, labels, scale=64.0, store=store)
    shifted = (*shifted, *gradients(*shifted, unit, centres, weights=weights))
    torch.testing.assert_close(shifted, without, rtol=1e-5, atol=1e-5)


@either_memory
def test_dot_products_far_beyond_exp_stay_finite_and_right(chunks_of, store):
    chunks_of(3)
    unit, centres, labels = batch(length=1000.0)  # logits of +-3000: both ends of exp are passed
    geometry, weights = Geometry(normalised=False), torch.linspace(-2, 3, 9)
    ours = run(unit, centres, labels, scale=1.0, store=store, geometry=geometry)
    theirs = definition(unit, centres, labels, scale=1.0, normalised=False)
    assert ours[1].abs().max() > 1000
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(
        gradients(*ours, unit, centres, weights=weights), gradients(*theirs, unit, centres, weights=weights)
    )


@either_memory
def test_other_classes_can_be_rewritten(chunks_of, store):
    chunks_of(3)
    unit, centres, labels = batch()
    ours = run(unit, centres, labels, store=store, reweigh=lambda cos: torch.where(cos > 0.2, cos * cos - 0.5, cos))
    cosines = unit @ F.normalize(centres).T
    true = F.one_hot(labels, 20).bool()
    changed = torch.where(cosines > 0.2, cosines * cosines - 0.5, cosines)
    theirs = cosines[true], (16.0 * changed).masked_fill(true, -torch.inf).logsumexp(dim=1)
    torch.testing.assert_close(ours, theirs)
    weights = torch.linspace(-2, 3, 9)
    torch.testing.assert_close(
        gradients(*ours, unit, centres, weights=weights), gradients(*theirs, unit, centres, weights=weights)
    )


@either_memory
@pytest.mark.parametrize("scale", [16.0, 256.0])
def test_a_single_class_has_no_rest_and_finite_gradients(store, scale):
    """A shard of a split head may hold one class only."""
    unit, centres, labels = batch(1, dtype=torch.float32)
    target, rest = run(unit, centres, labels, scale=scale, store=store)
    assert (rest == -torch.inf).all()
    F.softplus(rest - scale * target).sum().backward()
    assert (unit.grad == 0).all()
    assert (centres.grad == 0).all()


@either_memory
@pytest.mark.parametrize("geometry", [PLAIN, Geometry(sub_centres=2, spheres=5), Geometry(normalised=False)])
def test_no_class_at_all_has_no_rest_and_no_gradient(store, geometry):
    """With more ranks than blocks of classes a rank holds none."""
    unit = batch(dtype=torch.float32)[0]
    centres = torch.zeros(0, geometry.sub_centres, 5, requires_grad=True)
    target, rest = run(unit, centres, torch.full((9,), -1), scale=16.0, store=store, geometry=geometry)
    assert (target == 0).all()
    assert (rest == -torch.inf).all()
    (target.sum() + F.softplus(rest).sum()).backward()
    assert (unit.grad == 0).all()
    assert centres.grad.shape == centres.shape


@either_memory
def test_rows_whose_class_is_elsewhere_have_all_classes_here_as_rest(chunks_of, store):
    chunks_of(3)
    unit, centres, labels = batch()
    labels[::2] = -1
    target, rest = run(unit, centres, labels, store=store)
    logits = 16.0 * unit @ F.normalize(centres).T
    torch.testing.assert_close(rest[::2], logits.logsumexp(dim=1)[::2])
    assert (target[::2] == 0).all()
    torch.testing.assert_close(
        torch.autograd.grad(rest[::2].sum(), [unit, centres]),
        torch.autograd.grad(logits.logsumexp(dim=1)[::2].sum(), [unit, centres]),
    )


@either_memory
def test_a_row_without_any_gradient_changes_nothing(chunks_of, store):
    chunks_of(3)
    unit, centres, labels = batch()
    target, rest = run(unit, centres, labels, store=store)
    weights = torch.ones(9, dtype=torch.float64)
    weights[4] = 0.0
    grad_unit, grad_centres = torch.autograd.grad((weights * (target + rest)).sum(), [unit, centres])
    target, rest = definition(unit, centres, labels)
    assert (grad_unit[4] == 0).all()
    torch.testing.assert_close(grad_centres, torch.autograd.grad((weights * (target + rest)).sum(), centres)[0])


def test_the_target_cosine_never_leaves_minus_one_to_one():
    centres = torch.randn(500, 64, generator=torch.Generator().manual_seed(0))
    for sign in (1.0, -1.0):
        target, _ = run(sign * F.normalize(centres), centres, torch.arange(500))
        assert target.abs().max() == 1.0
