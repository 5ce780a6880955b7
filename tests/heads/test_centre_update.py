"""A head that moves its centres inside backward ends where torch's optimisers would have led it."""

import copy

import pytest
import torch

from marginface.config import load
from marginface.errors import InputError
from marginface.heads import HEADS
from marginface.heads import chunked_softmax as chunked
from marginface.heads.sampling import choose_classes
from marginface.optim import AdamWConfig, SgdConfig

NUM_CLASSES, DIM, BATCH, STEPS = 37, 6, 12, 4
FULL_HEADS = [
    {"kind": "dense"},
    {"kind": "dense", "memory": "recompute", "spheres": {"count": 2}},
    {"kind": "sharded", "sub_centres": 3},
    {"kind": "sampled", "rate": 1.0, "sub_centres": 2, "spheres": {"count": 3, "slice_norm": "per_slice"}},
]
SAMPLED_HEADS = [
    {"kind": "sampled", "rate": 0.5},
    {"kind": "sampled", "rate": 0.0, "memory": "recompute"},
    {"kind": "sampled", "rate": 0.5, "sub_centres": 2, "spheres": {"count": 2}},
]
OPTIMIZERS = [
    SgdConfig(lr=0.01, momentum=0.0, weight_decay=0.0),
    SgdConfig(lr=0.01, momentum=0.9, weight_decay=0.05),
    SgdConfig(lr=0.01, momentum=0.9, weight_decay=0.05, nesterov=True),
    AdamWConfig(lr=0.01, weight_decay=0.2, eps=1e-4),  # far above rounding errors, whose sign a step would else follow
]


def _name(case):
    return "-".join(str(value) for value in case.values()).replace(" ", "")


every_full_head = pytest.mark.parametrize("head_case", FULL_HEADS, ids=_name)
every_sampled_head = pytest.mark.parametrize("head_case", SAMPLED_HEADS, ids=_name)
every_optimizer = pytest.mark.parametrize("config", OPTIMIZERS, ids=["plain", "momentum", "nesterov", "adamw"])
one_or_more_parts = pytest.mark.parametrize("parts, grad_scale", [(1, 1.0), (3, 512.0)])


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(chunked, "FEWEST_PER_CHUNK", 8)
    monkeypatch.setattr(chunked, "ENTRIES_PER_CHUNK", 1)


def build(head_case, *, margin="arcface"):
    config = load(HEADS[head_case["kind"]], {**head_case, "scale": 8.0, "margin": margin})
    head = config.build(num_classes=NUM_CLASSES, embedding_dim=DIM, seed=2)
    with torch.no_grad():
        head.class_centres.mul_(100.0)  # lengths of about 2, so that steps turn centres by little
    return head


def with_optimizer(head, config):
    return config.build([{"params": [head.class_centres], "name": "head", "lr_factor": 1.0}])


def batch(index):
    generator = torch.Generator().manual_seed(index)
    embeddings = 4 * torch.randn(BATCH, DIM, generator=generator)
    return embeddings.requires_grad_(), torch.randint(NUM_CLASSES, (BATCH,), generator=generator)


def backward_in_parts(head, index, *, parts, grad_scale=1.0):
    """Return the gradient of a batch's embeddings."""
    embeddings, labels = batch(index)
    for part, (x, y) in enumerate(zip(embeddings.chunk(parts), labels.chunk(parts), strict=True)):
        if head.moves_itself:
            head.update.hold = part < parts - 1
        (head(x, y).loss / parts * grad_scale).backward()
    return embeddings.grad / grad_scale


def assert_near(ours, theirs):
    assert (ours - theirs).abs().max() <= 1e-6 * theirs.abs().max()


@every_full_head
@every_optimizer
@one_or_more_parts
def test_centres_and_state_end_where_torch_leads_them(head_case, config, parts, grad_scale):
    ours, theirs = build(head_case), build(head_case)
    update, optimizer = ours.fuse_update(config.centre_rule()), with_optimizer(theirs, config)
    update.grad_scale = grad_scale
    for step in range(STEPS):
        update.lr = optimizer.param_groups[0]["lr"] = 0.01 * (step + 1)
        optimizer.zero_grad()
        their_grad = backward_in_parts(theirs, step, parts=parts)
        theirs.class_centres.grad = theirs.class_centres.grad.to_dense()  # a sampled head's is sparse
        optimizer.step()
        torch.testing.assert_close(
            backward_in_parts(ours, step, parts=parts, grad_scale=grad_scale), their_grad, rtol=1e-4, atol=1e-6
        )
        assert ours.class_centres.grad is None
    assert_near(ours.class_centres.detach(), theirs.class_centres.detach())
    for name in config.centre_rule().state_names:
        assert_near(update.get_buffer(name), optimizer.state[theirs.class_centres][name])
    assert update.num_steps == STEPS


@every_sampled_head
@every_optimizer
@one_or_more_parts
def test_drawn_rows_move_as_torch_moves_them_and_others_not_at_all(head_case, config, parts, grad_scale):
    """The dense gradient of the same draws through torch; then rows that no part drew are put back, state and all."""
    ours, theirs = build(head_case), build(head_case | {"unsampled": "decayed"})
    update, optimizer = ours.fuse_update(config.centre_rule()), with_optimizer(theirs, config)
    update.grad_scale = grad_scale
    names = config.centre_rule().state_names
    for step in range(STEPS):
        drawn = set()
        for part, labels in enumerate(batch(step)[1].chunk(parts)):
            address = (theirs.seed, int(theirs.num_draws) + part, 0)
            drawn |= {*choose_classes(labels.unique().numpy(), NUM_CLASSES, theirs.rate, address=address).tolist()}
        others = [c for c in range(NUM_CLASSES) if c not in drawn]
        assert others, "the case shows nothing otherwise"
        before = [t.detach()[others].clone() for t in (ours.class_centres, *(update.get_buffer(n) for n in names))]
        their_before = theirs.class_centres.detach()[others].clone()
        state = optimizer.state[theirs.class_centres]
        state_before = {name: state[name][others].clone() if name in state else 0.0 for name in names}

        optimizer.zero_grad()
        backward_in_parts(theirs, step, parts=parts)
        optimizer.step()
        with torch.no_grad():
            theirs.class_centres[others] = their_before
        for name in names:
            state[name][others] = state_before[name]

        backward_in_parts(ours, step, parts=parts, grad_scale=grad_scale)
        after = [t.detach()[others] for t in (ours.class_centres, *(update.get_buffer(n) for n in names))]
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
        assert ours.class_centres.grad is None
    assert_near(ours.class_centres.detach(), theirs.class_centres.detach())
    for name in names:
        assert_near(update.get_buffer(name), optimizer.state[theirs.class_centres][name])


@every_optimizer
def test_a_decayed_head_moves_all_rows_as_torch_does_with_zeros_for_those_not_drawn(config):
    """As in the second version of insightface's Partial FC."""
    head = build({"kind": "sampled", "rate": 0.3, "unsampled": "decayed"})
    plain = torch.nn.Parameter(head.class_centres.detach().clone())
    optimizer, theirs = with_optimizer(head, config), config.build([{"params": [plain], "lr_factor": 1.0}])
    for step in range(STEPS):
        frozen = build({"kind": "sampled", "rate": 0.3})  # the rows of its sparse gradient are those that were drawn
        with torch.no_grad():
            frozen.class_centres.copy_(plain)
        frozen.num_draws.copy_(head.num_draws)
        backward_in_parts(frozen, step, parts=1)
        assert frozen.class_centres.grad._nnz() < NUM_CLASSES
        plain.grad = frozen.class_centres.grad.to_dense()
        theirs.step()
        optimizer.zero_grad()
        backward_in_parts(head, step, parts=1)
        optimizer.step()
    assert_near(head.class_centres.detach(), plain.detach())


def test_a_decayed_head_refuses_to_move_itself():
    head = build({"kind": "sampled", "unsampled": "decayed"})
    with pytest.raises(InputError, match="unsampled: decayed.*optimiser"):
        head.fuse_update(SgdConfig().centre_rule())


@pytest.mark.parametrize("head_case", FULL_HEADS + SAMPLED_HEADS, ids=_name)
@every_optimizer
def test_a_saved_head_goes_on_as_if_it_had_not_stopped(head_case, config):
    head, resumed = build(head_case, margin="adaface"), build(head_case, margin="adaface")
    head.fuse_update(config.centre_rule())
    for step in range(2):
        backward_in_parts(head, step, parts=2)
    resumed.fuse_update(config.centre_rule())
    resumed.load_state_dict(copy.deepcopy(head.state_dict()))
    twin = copy.deepcopy(head)
    for one in (head, resumed, twin):
        for step in range(2, 4):
            backward_in_parts(one, step, parts=2)
    for other in (resumed, twin):
        state = other.state_dict()
        assert all(torch.equal(tensor, state[name]) for name, tensor in head.state_dict().items())


def test_a_copy_moves_its_own_centres_only():
    head = build({"kind": "dense"})
    head.fuse_update(OPTIMIZERS[1].centre_rule())
    backward_in_parts(head, 0, parts=1)
    twin, before = copy.deepcopy(head), {name: t.clone() for name, t in head.state_dict().items()}
    backward_in_parts(twin, 1, parts=1)
    assert all(torch.equal(t, before[name]) for name, t in head.state_dict().items())
    assert not torch.equal(twin.class_centres, head.class_centres)
    assert not torch.equal(twin.update.momentum_buffer, head.update.momentum_buffer)


@pytest.mark.parametrize("head_case", [{"kind": "dense"}, {"kind": "sampled", "rate": 0.5}], ids=_name)
def test_a_second_backward_after_the_centres_moved_is_an_error(head_case):
    head = build(head_case)
    head.fuse_update(OPTIMIZERS[0].centre_rule())
    loss = head(*batch(0)).loss
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_centres_that_are_frozen_do_not_move():
    head = build({"kind": "dense"})
    head.fuse_update(OPTIMIZERS[1].centre_rule())
    head.class_centres.requires_grad_(False)
    before = head.class_centres.clone()
    backward_in_parts(head, 0, parts=1)
    assert torch.equal(head.class_centres, before)
    assert head.update.num_steps == 0


@pytest.mark.parametrize("sub_centres", [1, 2])
def test_torch_takes_the_sparse_gradient_of_a_frozen_head(sub_centres):
    """SGD without momentum and SparseAdam: rows that were not drawn keep their bits."""
    case = {"kind": "sampled", "rate": 0.4, "sub_centres": sub_centres}
    for make in (lambda p: torch.optim.SGD([p], lr=0.01), lambda p: torch.optim.SparseAdam([p], lr=0.01)):
        head = build(case)
        optimizer, before = make(head.class_centres), head.class_centres.detach().clone()
        backward_in_parts(head, 0, parts=2)  # two draws: their sum holds the rows of both
        gradient = head.class_centres.grad.coalesce()
        drawn = gradient.indices()[0]
        assert gradient.is_sparse
        assert gradient.shape == head.class_centres.shape
        optimizer.step()
        moved = (head.class_centres.detach() != before).flatten(1).any(dim=1).nonzero()[:, 0]
        assert 0 < len(drawn) < NUM_CLASSES
        assert {*moved.tolist()} <= {*drawn.tolist()}
        if isinstance(optimizer, torch.optim.SGD):
            torch.testing.assert_close(head.class_centres.detach(), before - 0.01 * gradient.to_dense())
