"""A head whose classes are split over ranks equals one process: loss, all gradients, statistics, its own update.

All that one number of ranks shows is computed by one group of processes (`on_ranks`), and read by several tests.
"""

import copy
import functools

import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.device_mesh import init_device_mesh

from marginface.config import load
from marginface.errors import InputError
from marginface.heads import HEADS
from marginface.heads import chunked_softmax as chunked
from marginface.heads.sampling import choose_classes
from marginface.margins import MARGINS
from marginface.optim import AdamWConfig, SgdConfig
from tests.helpers.gloo import run_on_ranks
from tests.helpers.reference import head_losses

pytestmark = pytest.mark.distributed

DIM, CHUNK = 12, 4
RANKS = (2, 3, 4)
SIZES = {1: [14], 2: [8, 6], 3: [5, 0, 9], 4: [6, 1, 3, 4]}  # rows a rank; they need not be the same, nor any
MARGIN_CASES = [{"kind": kind} for kind in MARGINS if not kind.startswith("elastic")]  # their draws belong to ranks
A_FEW_MARGINS = [{"kind": kind} for kind in ("magface", "adaface", "curricularface", "adacos")]
ALL_SETTINGS = {"memory": "recompute", "sub_centres": 2, "spheres": {"count": 2}, "filter_above": 0.3}

# (head, margin, classes): 11 classes over 2, 3 and 4 ranks are 6 + 5, 4 + 4 + 3 and 3 + 3 + 3 + 2; 5 classes over 4
# ranks are 2 + 2 + 1 + 0.
CASES = [
    *[({"kind": "sharded"}, margin, 11) for margin in MARGIN_CASES],
    *[({"kind": "sharded", **ALL_SETTINGS}, margin, 11) for margin in A_FEW_MARGINS],
    *[({"kind": "sampled", "rate": 1.0, "unsampled": "decayed"}, margin, 11) for margin in A_FEW_MARGINS],
    *[({"kind": "sharded"}, margin, 5) for margin in A_FEW_MARGINS],
    ({"kind": "sharded", **ALL_SETTINGS}, {"kind": "magface"}, 5),
    ({"kind": "sampled", "rate": 1.0, "unsampled": "decayed"}, {"kind": "magface"}, 5),
]
FUSED_CASES = [
    ({"kind": "sharded", "fused_update": True}, SgdConfig(lr=0.1, nesterov=True), 11),
    ({"kind": "sharded", "fused_update": True, **ALL_SETTINGS}, AdamWConfig(lr=0.01, eps=1e-4), 11),
    ({"kind": "sharded", "fused_update": True}, SgdConfig(lr=0.1), 5),
    ({"kind": "sampled", "rate": 1.0, "sub_centres": 2}, SgdConfig(lr=0.1), 11),
    ({"kind": "sampled", "rate": 1.0}, AdamWConfig(lr=0.01, eps=1e-4), 5),
]
SAMPLED_CASES = [
    ({"kind": "sampled", "rate": 0.5, "unsampled": "decayed", **settings}, margin)
    for settings in ({}, {"sub_centres": 2, "spheres": {"count": 2}})
    for margin in ({"kind": "arcface"}, {"kind": "magface"}, {"kind": "adaface"}, {"kind": "curricularface"})
]
SAMPLED_CLASSES = 40


def build(head_case, margin, mesh=None, *, num_classes=11):
    scale = 1.0 if margin["kind"] == "softmax" else 32.0
    config = load(HEADS[head_case["kind"]], {**head_case, "margin": margin, "scale": scale})
    head = config.build(num_classes=num_classes, embedding_dim=DIM, seed=1, mesh=mesh)
    with torch.no_grad():
        head.class_centres.mul_(20.0)  # lengths of about 1
    return head


def of_rank(rank, ranks, *, num_classes=11):
    """Return the rows of one rank; norms are about 20, inside MagFace's range, where its margin has a gradient."""
    generator = torch.Generator().manual_seed(2)
    labels = torch.randint(num_classes, (14,), generator=generator)
    embeddings = 6 * torch.randn(14, DIM, generator=generator)
    first = sum(SIZES[ranks][:rank])
    rows = slice(first, first + SIZES[ranks][rank])
    return embeddings[rows].clone().requires_grad_(), labels[rows]


def whole(tensor):
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor.clone()


def step(head, embeddings, labels):
    output = head(embeddings, labels)
    output.loss.backward()
    gradient = head.class_centres.grad
    return {
        "loss": output.loss.item(),
        "num_rows": output.num_rows,
        "sample_loss": output.sample_loss_B,
        "target_cos": output.target_cos_B,
        "norm": output.norm_B,
        "grad": embeddings.grad,
        "centres_grad": None if gradient is None else whole(gradient),
        "margin": {name: tensor.clone() for name, tensor in head.margin.state_dict().items()},
    }


def fused_steps(head, config, batch, *, steps=2):
    """Return how the head stands after steps of two parts each."""
    update = head.update or head.fuse_update(config.centre_rule())
    for part in range(2 * steps):
        update.hold = part % 2 == 0
        step(head, *batch)
    assert head.class_centres.grad is None
    return {name: whole(tensor) for name, tensor in head.state_dict().items()}


def on_ranks():
    """Return all that the tests below ask of one rank."""
    chunked.FEWEST_PER_CHUNK, chunked.ENTRIES_PER_CHUNK = CHUNK, 1
    rank, ranks = dist.get_rank(), dist.get_world_size()
    mesh = init_device_mesh("cpu", (ranks,))

    def batch(num_classes):
        return of_rank(rank, ranks, num_classes=num_classes)

    found = {
        "steps": [step(build(head, margin, mesh, num_classes=n), *batch(n)) for head, margin, n in CASES],
        "fused": [
            fused_steps(build(head, {"kind": "magface"}, mesh, num_classes=n), config, batch(n))
            for head, config, n in FUSED_CASES
        ],
    }
    if ranks == 2:
        found["sampled"] = [
            step(build(head, margin, mesh, num_classes=SAMPLED_CLASSES), *batch(SAMPLED_CLASSES))
            for head, margin in SAMPLED_CASES
        ]
        found["refused"] = refusal(build({"kind": "sampled"}, {"kind": "arcface"}, mesh), *batch(11))
        head = build({"kind": "sharded"}, {"kind": "arcface"}, mesh)
        found["copied"] = (step(copy.deepcopy(head), *batch(11)), step(head, *batch(11)))
    return found


def refusal(head, embeddings, labels):
    try:
        head(embeddings, labels)
    except InputError as error:
        return str(error)
    return None


@functools.cache
def by_rank(ranks):
    return run_on_ranks(on_ranks, ranks)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(chunked, "FEWEST_PER_CHUNK", CHUNK)
    monkeypatch.setattr(chunked, "ENTRIES_PER_CHUNK", 1)


def near(ours, theirs, name, relative=1e-5):
    ours, theirs = torch.as_tensor(ours), torch.as_tensor(theirs)
    assert (ours.double() - theirs.double()).abs().max() <= relative * theirs.abs().max().clamp_min(1e-12), name


@pytest.mark.parametrize("ranks", RANKS)
def test_ranks_equal_one_process(ranks):
    for index, (head_case, margin, num_classes) in enumerate(CASES):
        alone = step(build(head_case, margin, num_classes=num_classes), *of_rank(0, 1, num_classes=num_classes))
        together = [found["steps"][index] for found in by_rank(ranks)]
        name = f"{head_case} {margin} {num_classes}"
        for one in together:
            assert one["num_rows"] == 14, name
            near(one["loss"], alone["loss"], name)
            assert one["loss"] == together[0]["loss"], "the same bits on every rank"
            near(one["centres_grad"], alone["centres_grad"], name)
            for key, value in alone["margin"].items():
                near(one["margin"][key], value, f"{name} {key}")
        for key in ("sample_loss", "target_cos", "norm", "grad"):
            near(torch.cat([one[key] for one in together]), alone[key], f"{name} {key}")


@pytest.mark.parametrize("ranks", RANKS)
def test_norms_get_the_gradient_of_one_process_through_magface_where_its_reference_code_fails(ranks):
    """The published parallel trainer shares embeddings without their graph, and loses the norm's part."""
    index = CASES.index(({"kind": "sharded"}, {"kind": "magface"}, 11))
    embeddings, labels = of_rank(0, 1)
    alone = step(build(*CASES[index][:2]), embeddings, labels)
    together = torch.cat([found["steps"][index]["grad"] for found in by_rank(ranks)])
    direction = torch.nn.functional.normalize(embeddings.detach())
    norm_grad, expected = (together * direction).sum(dim=1), (alone["grad"] * direction).sum(dim=1)
    assert (expected.abs() > 1e-5).all(), "the loss sees every norm"
    near(norm_grad, expected, "gradient of the norms")


@pytest.mark.parametrize("ranks", RANKS)
def test_the_fused_update_over_ranks_equals_an_optimiser_on_one_process(ranks):
    for index, (head_case, config, num_classes) in enumerate(FUSED_CASES):
        plain = {key: value for key, value in head_case.items() if key not in ("kind", "fused_update", "rate")}
        alone = build({**plain, "kind": "dense"}, {"kind": "magface"}, num_classes=num_classes)
        optimizer = config.build([{"params": [alone.class_centres], "name": "head", "lr_factor": 1.0}])
        for _ in range(2):
            optimizer.zero_grad()
            for _ in range(2):
                alone(*of_rank(0, 1, num_classes=num_classes)).loss.backward()
            optimizer.step()
        kept = optimizer.state[alone.class_centres]
        for found in by_rank(ranks):
            state, name = found["fused"][index], f"{head_case} {config}"
            near(state["class_centres"], alone.class_centres.detach(), name)
            for tensor in config.centre_rule().state_names:
                near(state[f"update.{tensor}"], kept[tensor], f"{name} {tensor}")


def test_sampled_over_two_ranks_equals_the_slow_formula_on_what_both_drew():
    found, block = by_rank(2), SAMPLED_CLASSES // 2
    embeddings, labels = of_rank(0, 1, num_classes=SAMPLED_CLASSES)
    drawn = []
    for rank in range(2):
        positives = labels[labels // block == rank].unique().numpy() - rank * block
        drawn.append(torch.from_numpy(choose_classes(positives, block, 0.5, address=(1, 0, rank))))
        assert len(drawn[rank]) == block // 2
    assert not torch.equal(*drawn), "ranks draw for themselves"
    chosen = torch.cat([drawn[0], drawn[1] + block])
    for index, (head_case, margin) in enumerate(SAMPLED_CASES):
        head = build(head_case, margin, num_classes=SAMPLED_CLASSES)
        wide = embeddings.detach().double().requires_grad_()
        centres = head.class_centres.detach().double().requires_grad_()
        losses = head_losses(wide, centres, labels, head=head, chosen_C=chosen)
        losses.mean().backward()
        together, name = [one["sampled"][index] for one in found], f"{head_case} {margin}"
        near(torch.cat([one["sample_loss"] for one in together]), losses.detach(), name)
        near(torch.cat([one["grad"] for one in together]), wide.grad, name)
        for one in together:
            near(one["loss"], losses.mean().item(), name)
            near(one["centres_grad"], centres.grad, name)
            assert (one["centres_grad"][~torch.isin(torch.arange(SAMPLED_CLASSES), chosen)] == 0).all()


def test_frozen_rows_over_ranks_without_an_update_of_its_own_are_refused():
    for found in by_rank(2):
        assert found["refused"].startswith("a sampled head over several ranks with frozen classes has to move its")


def test_a_sharded_head_can_be_copied():
    for found in by_rank(2):
        copied, first = found["copied"]
        assert copied["loss"] == first["loss"]
        assert torch.equal(copied["centres_grad"], first["centres_grad"])


# Its state on another number of ranks

RESHARDED = [
    ({"kind": "sharded", "sub_centres": 2}, {"kind": "adaface"}, SgdConfig(lr=0.1)),
    ({"kind": "sampled", "rate": 1.0}, {"kind": "magface"}, AdamWConfig(lr=0.01, eps=1e-4)),
]


def resharded(folder, read, write):
    """Read the heads that `read` names, if any, give their state whole, go on for a step, and write them."""
    ranks = dist.get_world_size() if dist.is_initialized() else 1
    rank = dist.get_rank() if dist.is_initialized() else 0
    mesh = init_device_mesh("cpu", (ranks,)) if ranks > 1 else None
    states = []
    for index, (head_case, margin, config) in enumerate(RESHARDED):
        head = build(head_case, margin, mesh)
        head.fuse_update(config.centre_rule())
        if read:
            state = head.state_dict()
            dcp.load(state, checkpoint_id=f"{folder}/{read}-{index}")
            head.load_state_dict(state)
        before = {name: whole(tensor) for name, tensor in head.state_dict().items()}
        after = fused_steps(head, config, of_rank(rank, ranks), steps=1)
        if write:
            dcp.save(head.state_dict(), checkpoint_id=f"{folder}/{write}-{index}")
        states.append((before, after))
    return states


def test_state_saved_on_two_ranks_goes_on_on_three_and_then_on_one(tmp_path):
    folder = str(tmp_path)
    two = run_on_ranks(resharded, 2, folder, None, "two")[0]
    three = run_on_ranks(resharded, 3, folder, "two", "three")[0]
    one = resharded(folder, "three", None)
    for index, (head_case, margin, config) in enumerate(RESHARDED):
        head = build(head_case, margin)
        expected = [fused_steps(head, config, of_rank(0, 1), steps=1) for _ in range(3)]
        for earlier, later in ((two, three), (three, one)):
            saved, loaded = earlier[index][1], later[index][0]
            assert saved.keys() == loaded.keys() == expected[0].keys()
            assert all(torch.equal(tensor, loaded[name]) for name, tensor in saved.items())
        for after, state in zip((two, three, one), expected, strict=True):
            for name, tensor in state.items():
                near(after[index][1][name], tensor, f"{head_case} {name}")
        assert expected[2]["update.num_steps"] == 3
