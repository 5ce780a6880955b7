"""Every margin on every head equals the formula of the papers, and keeps the promises of a head.

Parametrised over both registries, so a new margin or head is tested on the day it is written. Loss and gradients are
compared for every pair; what else a head promises for every margin on the plain heads, and for a few on the others.
"""

import copy

import pytest
import torch

from marginface.config import dump, load
from marginface.errors import InputError, WorkError
from marginface.heads import HEADS, Head
from marginface.heads import chunked_softmax as chunked
from marginface.heads.sampling import choose_classes
from marginface.margins import MARGINS, Margin
from tests.helpers.reference import head_losses

CHUNK, NUM_CLASSES, DIM, BATCH = 16, 70, 24, 32  # 70 classes: four chunks of 16 and one of 6

MARGIN_CASES = [{"kind": kind} for kind in MARGINS] + [
    {"kind": "arcface", "past_pi": "flat"},
    {"kind": "arcface", "past_pi": "rising", "gradient": "straight_through"},
    {"kind": "magface", "easy": False, "clamp": "pull_in"},
    {"kind": "elasticface_arc", "plus": True},
]
HEAD_CASES = [{"kind": kind} for kind in HEADS] + [
    {"kind": "dense", "memory": "recompute"},
    {"kind": "dense", "sub_centres": 3},
    {"kind": "dense", "spheres": {"count": 2}},
    {"kind": "dense", "spheres": {"count": 3, "slice_norm": "per_slice", "reduction": "mean"}, "memory": "recompute"},
    {"kind": "dense", "filter_above": 0.2},
    {"kind": "sharded", "sub_centres": 2, "spheres": {"count": 2}, "filter_above": 0.2, "memory": "recompute"},
    {"kind": "sampled", "rate": 1.0, "unsampled": "decayed"},
    {"kind": "sampled", "rate": 0.6, "sub_centres": 2, "spheres": {"count": 2}, "memory": "recompute"},
    {"kind": "sampled", "rate": 0.6, "unsampled": "decayed", "sub_centres": 2},
]


PLAIN_HEADS = [{"kind": kind} for kind in HEADS]
A_FEW_MARGINS = [{"kind": kind} for kind in ("arcface", "magface", "adaface", "curricularface")]
"""A fixed margin, one with a norm's gradient, one with statistics, one that changes other classes."""


def _name(case):
    return "-".join(str(value) for value in case.values()).replace(" ", "")


def _pairs(pairs):
    names = [f"{_name(head_case)} x {_name(margin)}" for head_case, margin in pairs]
    return pytest.mark.parametrize(("head_case", "margin"), pairs, ids=names)


every_pair = _pairs([(head_case, margin) for head_case in HEAD_CASES for margin in MARGIN_CASES])
main_pairs = _pairs(
    [(head_case, margin) for head_case in PLAIN_HEADS for margin in MARGIN_CASES]
    + [(head_case, margin) for head_case in HEAD_CASES if head_case not in PLAIN_HEADS for margin in A_FEW_MARGINS]
)
dense_pairs = _pairs([({"kind": "dense"}, margin) for margin in MARGIN_CASES])
every_head = pytest.mark.parametrize("head_case", HEAD_CASES, ids=_name)
every_kind = pytest.mark.parametrize("head_case", PLAIN_HEADS, ids=_name)
every_full_head = pytest.mark.parametrize(
    "head_case", [case for case in HEAD_CASES if case["kind"] != "sampled" or case.get("rate") == 1.0], ids=_name
)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(chunked, "FEWEST_PER_CHUNK", CHUNK)
    monkeypatch.setattr(chunked, "ENTRIES_PER_CHUNK", 1)


def build(head_case, margin, *, num_classes=NUM_CLASSES, scale=64.0, seed=3) -> Head:
    if margin["kind"] == "softmax":
        scale = 1.0
    config = load(HEADS[head_case["kind"]], {**head_case, "margin": margin, "scale": scale})
    return config.build(num_classes=num_classes, embedding_dim=DIM, seed=seed)


def batch(head, *, seed=0, dtype=torch.float32):
    """Embeddings of lengths 0.5 to 30, half of them close to their centre, labels at chunk edges and repeated."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(head.num_classes, (BATCH,), generator=generator)
    edges = [0, CHUNK - 1, CHUNK, 2 * CHUNK - 1, 2 * CHUNK, head.num_classes - 1, 5, 5, 5]
    labels[: len(edges)] = torch.tensor(edges) % head.num_classes
    embeddings = torch.randn(BATCH, DIM, generator=generator)
    near = torch.arange(BATCH) % 2 == 0
    embeddings[near] = 0.1 * embeddings[near] + torch.nn.functional.normalize(centre_of(head, labels[near]))
    lengths = torch.linspace(0.5, 30, BATCH)[torch.randperm(BATCH, generator=generator)]
    embeddings = torch.nn.functional.normalize(embeddings) * lengths[:, None]
    return embeddings.to(dtype).requires_grad_(), labels


def centre_of(head, labels):
    """The first centre of each class."""
    return head.class_centres.detach().view(head.num_classes, -1, DIM)[labels, 0]


def centres_grad(head):
    gradient = head.class_centres.grad
    return gradient.to_dense() if gradient.is_sparse else gradient


def drawn_classes(head, labels):
    """What the next forward of a sampled head looks at; None where it is everything."""
    if not hasattr(head, "rate"):
        return None
    address = (head.seed, int(head.num_draws), 0)
    return torch.from_numpy(choose_classes(labels.unique().numpy(), head.num_classes, head.rate, address=address))


def assert_near(ours, reference, relative=1e-5):
    assert (ours.double() - reference.double()).abs().max() <= relative * reference.abs().max()


def run(head, embeddings, labels):
    """One forward with the draws of ElasticFace and of sampled heads as at every other call."""
    torch.manual_seed(11)
    if hasattr(head, "num_draws"):
        head.num_draws.zero_()
    return head(embeddings, labels)


def assert_equals_reference(head, embeddings, labels, relative=1e-5):
    before, chosen = copy.deepcopy(head), drawn_classes(head, labels)  # as it is before AdaFace's statistics move
    output = run(head, embeddings, labels)
    output.loss.backward()
    wide = embeddings.detach().double().requires_grad_()
    centres = head.class_centres.detach().double().requires_grad_()
    torch.manual_seed(11)
    losses = head_losses(wide, centres, labels, head=before, chosen_C=chosen)
    losses.mean().backward()
    assert_near(output.loss.detach(), losses.mean().detach())
    assert_near(output.sample_loss_B, losses.detach())
    assert_near(embeddings.grad, wide.grad, relative)
    assert_near(centres_grad(head), centres.grad, relative)
    return output


@every_pair
def test_loss_and_all_gradients_equal_the_slow_formula(head_case, margin):
    head = build(head_case, margin)
    output = assert_equals_reference(head, *batch(head))
    assert output.loss.dtype == torch.float32
    assert output.sample_loss_B.mean().item() == pytest.approx(output.loss.item(), rel=1e-6)
    assert not any(x.requires_grad for x in (output.sample_loss_B, output.target_cos_B, output.norm_B))


@dense_pairs
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_other_scales_equal_the_slow_formula(head_case, margin, scale):
    head = build(head_case, margin, scale=scale)
    assert_equals_reference(head, *batch(head))


@pytest.mark.parametrize("memory", ["store", "recompute"])
def test_of_sub_centres_that_are_equally_near_one_gets_the_gradient(memory):
    """Which one float64 and float32 see differently here."""
    head = build({"kind": "dense", "sub_centres": 2, "memory": memory}, {"kind": "arcface"}, scale=8.0)
    with torch.no_grad():
        head.class_centres[5, 1] = 1.7 * head.class_centres[5, 0]
    embeddings, _ = batch(head)
    assert_equals_reference(head, embeddings, torch.full((BATCH,), 5))


class NormAware(Margin):
    """A margin and a penalty that both depend on the norm, as MagFace's do."""

    def forward(self, target_cos_B, norm_B):
        return target_cos_B - 0.01 * norm_B

    def penalty(self, norm_B):
        return 2.0 / (norm_B + 1.0) + norm_B.square() / 400.0


@every_head
def test_norms_get_the_gradient_of_margin_and_penalty(head_case):
    head = build(head_case, {"kind": "normface"})
    head.margin = NormAware()
    embeddings, labels = batch(head)
    assert_equals_reference(head, embeddings, labels)
    radial = (embeddings.grad * embeddings.detach()).sum(dim=1)
    assert (radial.abs() > 1e-6).all()  # without a norm in the loss this is zero


@every_head
@pytest.mark.parametrize("num_classes", [2, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_any_number_of_classes_fits_the_chunks(head_case, num_classes):
    head = build(head_case, {"kind": "arcface"}, num_classes=num_classes)
    assert_equals_reference(head, *batch(head))


@main_pairs
def test_rows_that_are_nothing_like_any_class_do_not_underflow(head_case, margin):
    head = build(head_case, margin)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        noise = torch.randn(head.class_centres.shape, generator=generator) * 0.01
        head.class_centres.copy_(noise + torch.ones(DIM) / DIM**0.5)
    embeddings, labels = batch(head)
    opposite = embeddings.detach().clone()
    opposite[::2] = -20 * torch.ones(DIM) / DIM**0.5 + 0.1 * torch.randn(BATCH // 2, DIM, generator=generator)
    # Centres are nearly parallel here, so the classes' shares of a gradient cancel and float32 keeps a digit less.
    output = assert_equals_reference(head, opposite.requires_grad_(), labels, relative=1e-4)
    assert output.target_cos_B[::2].max() < -0.9


@main_pairs
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_embeddings_give_float32_results(head_case, margin, dtype):
    head = build(head_case, margin)
    embeddings, labels = batch(head, dtype=dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = run(head, embeddings, labels)
        output.loss.backward()  # backward under autocast too, as some loops have it
    exact = run(build(head_case, margin), embeddings.detach().float(), labels)
    assert output.loss.dtype == torch.float32
    torch.testing.assert_close(output.sample_loss_B, exact.sample_loss_B)
    assert embeddings.grad.dtype == dtype
    assert embeddings.grad.isfinite().all()
    assert centres_grad(head).isfinite().all()


@every_head
def test_margins_are_shielded_from_autocast(head_case):
    class Watching(Margin):
        def forward(self, target_cos_B, norm_B):
            assert not torch.is_autocast_enabled("cpu")
            return target_cos_B

    head = build(head_case, {"kind": "normface"})
    head.margin = Watching()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        head(*batch(head))


@main_pairs
def test_finite_for_a_zero_vector_a_perfect_match_and_its_opposite(head_case, margin):
    head = build(head_case, margin)
    embeddings, labels = batch(head)
    embeddings = embeddings.detach()
    embeddings[0] = 0.0
    embeddings[1] = 7.0 * centre_of(head, labels[1])
    embeddings[2] = -7.0 * centre_of(head, labels[2])
    output = head(embeddings.requires_grad_(), labels)
    output.loss.backward()
    assert output.sample_loss_B.isfinite().all()
    assert embeddings.grad.isfinite().all()
    assert centres_grad(head).isfinite().all()
    assert output.target_cos_B.abs().max() <= 1
    assert output.norm_B[0] == 0


@main_pairs
def test_state_dict_and_config_round_trip(head_case, margin):
    head, other = build(head_case, margin), build(head_case, margin)
    embeddings, labels = batch(head)
    torch.nn.init.ones_(other.class_centres)
    run(head, embeddings, labels)  # running statistics are state too
    other.load_state_dict(head.state_dict())
    assert torch.equal(run(head, embeddings, labels).loss, run(other, embeddings, labels).loss)
    config = load(HEADS[head_case["kind"]], {**head_case, "margin": margin, "scale": head.scale})
    assert load(type(config), dump(config)) == config


@every_head
def test_class_centres_come_from_the_seed_alone(head_case):
    first, second = build(head_case, {"kind": "arcface"}), build(head_case, {"kind": "arcface"})
    assert torch.equal(first.class_centres, second.class_centres)
    assert first.class_centres.std().item() == pytest.approx(0.01, rel=0.05)


@every_head
def test_evaluation_without_gradients_gives_the_same_loss(head_case):
    head = build(head_case, {"kind": "arcface"})
    embeddings, labels = batch(head)
    with torch.no_grad():
        quiet = run(head, embeddings, labels)
    assert torch.equal(quiet.loss, run(head, embeddings, labels).loss.detach())


@every_full_head
def test_accumulated_gradients_equal_those_of_one_large_batch(head_case):
    head = build(head_case, {"kind": "arcface"})
    embeddings, labels = batch(head)
    head(embeddings, labels).loss.backward()
    whole = centres_grad(head).clone()
    for _ in range(2):  # the second round uses the memory of the first
        head.zero_grad()
        for part in range(4):
            rows = slice(part * 8, part * 8 + 8)
            (head(embeddings[rows], labels[rows]).loss / 4).backward()
        assert_near(centres_grad(head), whole)


@every_head
def test_a_sum_of_two_losses_has_the_gradient_of_both(head_case):
    head = build(head_case, {"kind": "arcface"})
    (first, labels), (second, other_labels) = batch(head), batch(head, seed=1)
    separate = [
        torch.autograd.grad(run(head, x, y).loss, head.class_centres)[0].to_dense().clone()
        for x, y in ((first, labels), (second, other_labels))
    ]
    (run(head, first, labels).loss + run(head, second, other_labels).loss).backward()
    assert_near(centres_grad(head), sum(separate))


@every_head
def test_gradients_that_somebody_holds_are_never_overwritten(head_case):
    head = build(head_case, {"kind": "arcface"})
    (first, labels), (second, other_labels) = batch(head), batch(head, seed=1)
    head(first, labels).loss.backward()
    held = head.class_centres.grad
    row = (held._values() if held.is_sparse else held)[3]
    del held
    before = row.clone()
    head.zero_grad()  # only a view of one row is left
    head(second, other_labels).loss.backward()
    assert torch.equal(row, before)


@every_head
def test_backward_twice_through_one_graph_gives_the_same_gradient(head_case):
    head = build(head_case, {"kind": "arcface"})
    embeddings, labels = batch(head)
    loss = head(embeddings, labels).loss
    first = [x.clone() for x in torch.autograd.grad(loss, [embeddings, head.class_centres], retain_graph=True)]
    second = torch.autograd.grad(loss, [embeddings, head.class_centres])
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a.to_dense(), b.to_dense())


@every_head
def test_second_derivatives_are_refused(head_case):
    head = build(head_case, {"kind": "arcface"})
    embeddings, labels = batch(head)
    (gradient,) = torch.autograd.grad(head(embeddings, labels).loss, embeddings, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@every_head
def test_centres_changed_between_forward_and_backward_are_noticed(head_case):
    head = build(head_case, {"kind": "arcface"})
    loss = head(*batch(head)).loss
    with torch.no_grad():
        head.class_centres.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@every_head
@pytest.mark.parametrize("frozen", ["centres", "embeddings"])
def test_either_side_can_be_frozen(head_case, frozen):
    head, both = build(head_case, {"kind": "arcface"}), build(head_case, {"kind": "arcface"})
    embeddings, labels = batch(head)
    both(embeddings, labels).loss.backward()
    if frozen == "centres":
        head.class_centres.requires_grad_(False)
        again = embeddings.detach().clone().requires_grad_()
        head(again, labels).loss.backward()
        assert head.class_centres.grad is None
        torch.testing.assert_close(again.grad, embeddings.grad)
    else:
        head(embeddings.detach(), labels).loss.backward()
        torch.testing.assert_close(centres_grad(head), centres_grad(both))


@every_head
def test_a_copied_head_shares_no_memory_with_the_first(head_case):
    head = build(head_case, {"kind": "arcface"})
    embeddings, labels = batch(head)
    loss = head(embeddings, labels).loss
    twin = copy.deepcopy(head)
    twin(embeddings.detach() * -1, labels).loss.backward()
    untouched = build(head_case, {"kind": "arcface"})
    loss.backward()
    untouched(embeddings, labels).loss.backward()
    assert torch.equal(centres_grad(head), centres_grad(untouched))


@every_full_head
def test_a_float64_head_passes_gradcheck(head_case):
    head = build(head_case, {"kind": "arcface"}, num_classes=20, scale=8.0).double()
    embeddings = torch.randn(5, DIM, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 15, 16, 19, 16])
    centres = head.class_centres

    def loss(x, _):
        return head(x, labels).loss

    head.eval()  # all classes in every call, and a dense gradient
    assert torch.autograd.gradcheck(loss, (embeddings, centres), fast_mode=True)


@every_kind
@pytest.mark.parametrize(
    ("embeddings", "labels", "sentence"),
    [
        (torch.ones(3, DIM), torch.tensor([0, NUM_CLASSES, 1]), "label 70 is outside 0..69; is the identity table"),
        (torch.ones(3, DIM), torch.tensor([0, -1, 1]), "label -1 is outside 0..69"),
        (torch.ones(3, DIM + 1), torch.zeros(3).long(), r"embeddings have shape \(3, 25\), this head takes"),
        (torch.ones(DIM), torch.zeros(1).long(), "embeddings have shape"),
        (torch.ones(3, DIM), torch.zeros(2).long(), r"labels have shape \(2,\) beside 3 embeddings"),
        (torch.ones(0, DIM), torch.zeros(0).long(), "the batch is empty"),
        (torch.ones(3, DIM), torch.zeros(3), "labels are torch.float32; give integers"),
        (torch.ones(3, DIM).long(), torch.zeros(3).long(), "embeddings are torch.int64"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused_in_words(head_case, embeddings, labels, sentence):
    with pytest.raises(InputError, match=sentence):
        build(head_case, {"kind": "arcface"})(embeddings, labels)


@every_kind
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_embeddings_that_are_no_numbers_stop_the_work(head_case, value):
    embeddings = torch.ones(4, DIM)
    embeddings[2, 7] = value
    with pytest.raises(WorkError, match="1 of 4 embeddings are not finite, the first in row 2"):
        build(head_case, {"kind": "arcface"})(embeddings, torch.zeros(4).long())


@every_kind
def test_class_centres_in_half_precision_are_refused(head_case):
    head = build(head_case, {"kind": "arcface"}).to(torch.bfloat16)
    with pytest.raises(InputError, match=r"class centres are torch\.bfloat16; keep the head in float32"):
        head(torch.ones(4, DIM), torch.zeros(4).long())


@every_kind
def test_one_person_cannot_train_a_head(head_case):
    with pytest.raises(InputError, match="1 identity cannot train a head"):
        build(head_case, {"kind": "arcface"}, num_classes=1)


@every_kind
@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf")])
def test_a_scale_that_makes_no_sense_is_refused(head_case, scale):
    with pytest.raises(InputError, match="must be a positive number"):
        build(head_case, {"kind": "arcface"}, scale=scale)


@every_kind
def test_an_unknown_margin_is_refused_with_the_nearest_name(head_case):
    with pytest.raises(InputError, match=r"margin\.kind: there is no margin 'arcfase'; did you mean 'arcface'"):
        build(head_case, {"kind": "arcfase"})
