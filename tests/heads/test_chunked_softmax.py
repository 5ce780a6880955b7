"""The chunked softmax by itself: what heads of any kind build on."""

import pytest
import torch
import torch.nn.functional as F

from marginface.heads.chunked_softmax import target_and_rest
from marginface.heads.workspace import Workspace


def run(unit, centres, labels, *, scale=16.0, store=True, **settings):
    settings = {"smallest_norm": 1e-6, "workspace": Workspace(), **settings}
    return target_and_rest(unit, centres, labels, scale=scale, store=store, **settings)


@pytest.mark.parametrize("store", [True, False])
@pytest.mark.parametrize("classes_per_chunk", [1, 3, 7, 20, 2048])
def test_target_and_rest_equal_their_definition_for_any_chunk(store, classes_per_chunk):
    generator = torch.Generator().manual_seed(0)
    unit = F.normalize(torch.randn(9, 5, generator=generator, dtype=torch.float64)).requires_grad_()
    centres = torch.randn(20, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 2, 3, 6, 7, 19, 19, 5, 0])
    target, rest = run(unit, centres, labels, store=store, classes_per_chunk=classes_per_chunk)
    cosines = unit @ F.normalize(centres).T
    true = F.one_hot(labels, 20).bool()
    expected_rest = (16.0 * cosines).masked_fill(true, -torch.inf).logsumexp(dim=1)
    torch.testing.assert_close(target, cosines[true])
    torch.testing.assert_close(rest, expected_rest)
    weights = torch.linspace(-2, 3, 9, dtype=torch.float64)  # any gradients, not only those of a softmax
    ours = torch.autograd.grad((weights * target + weights.flip(0) * rest).sum(), [unit, centres])
    theirs = torch.autograd.grad((weights * cosines[true] + weights.flip(0) * expected_rest).sum(), [unit, centres])
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("store", [True, False])
def test_a_single_class_has_no_rest_and_finite_gradients(store):
    """A shard of a split head may hold one class only."""
    unit = F.normalize(torch.randn(3, 5)).requires_grad_()
    centres = torch.randn(1, 5, requires_grad=True)
    target, rest = run(unit, centres, torch.zeros(3).long(), store=store)
    assert (rest == -torch.inf).all()
    F.softplus(rest - 16.0 * target).sum().backward()
    assert (unit.grad == 0).all()
    assert (centres.grad == 0).all()


def test_the_target_cosine_never_leaves_minus_one_to_one():
    centres = torch.randn(500, 64, generator=torch.Generator().manual_seed(0))
    for sign in (1.0, -1.0):
        target, _ = run(sign * F.normalize(centres), centres, torch.arange(500))
        assert target.abs().max() == 1.0
