"""A head for each source: the mean over all rows of what each source's own head says, whatever rows there are."""

import copy

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.distributed.device_mesh import init_device_mesh

from marginface.config import load
from marginface.distributed import sum_gradients
from marginface.errors import InputError
from marginface.heads import HEADS, HeadPerSource, heads_of
from marginface.margins import MARGINS
from marginface.optim import SgdConfig
from tests.helpers.gloo import run_on_ranks
from tests.helpers.reference import head_losses

DIM, ROWS = 12, 14
PEOPLE = {"0": 7, "1": 5, "2": 4}
MAGFACE, ADAFACE = {"kind": "magface"}, {"kind": "adaface", "ema_weight": 0.3}
ALL_SETTINGS = {"memory": "recompute", "sub_centres": 2, "spheres": {"count": 2}, "filter_above": 0.3}
FULL_SAMPLE = {"kind": "sampled", "rate": 1.0, "unsampled": "decayed"}
CASES = [
    *[({"kind": "dense"}, {"kind": kind}) for kind in MARGINS if not kind.startswith("elastic")],
    ({"kind": "dense", **ALL_SETTINGS}, MAGFACE),
    ({"kind": "sharded"}, MAGFACE),
    ({"kind": "sharded", **ALL_SETTINGS}, ADAFACE),
    (FULL_SAMPLE, MAGFACE),
    (FULL_SAMPLE, ADAFACE),
]
FUSED_CASES = [{"kind": "sharded", "fused_update": True}, {"kind": "sampled", "rate": 1.0}]


def build(head_case, margin, mesh=None):
    scale = 1.0 if margin["kind"] == "softmax" else 32.0
    config = load(HEADS[head_case["kind"]], {**head_case, "margin": margin, "scale": scale})
    heads = {
        name: config.build(num_classes=people, embedding_dim=DIM, seed=number, mesh=mesh)
        for number, (name, people) in enumerate(PEOPLE.items())
    }
    with torch.no_grad():
        for head in heads.values():
            head.class_centres.mul_(20.0)  # lengths of about 1
    return HeadPerSource(heads)


def batch(*, absent=(), seed=2):
    """Embeddings of lengths about 20, inside MagFace's range, and labels without people of the absent sources."""
    generator = torch.Generator().manual_seed(seed)
    source_of = torch.repeat_interleave(torch.arange(len(PEOPLE)), torch.tensor(list(PEOPLE.values())))
    there = [label for label, source in enumerate(source_of.tolist()) if source not in absent]
    labels = torch.tensor(there)[torch.randint(len(there), (ROWS,), generator=generator)]
    return (6 * torch.randn(ROWS, DIM, generator=generator)).requires_grad_(), labels


def near(ours, theirs, name, relative=1e-5):
    ours, theirs = torch.as_tensor(ours), torch.as_tensor(theirs)
    assert (ours.double() - theirs.double()).abs().max() <= relative * theirs.abs().max().clamp_min(1e-12), name


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("absent", [(), (1,), (0, 2)])
def test_loss_and_all_gradients_are_those_of_separate_losses_by_the_slow_formula(case, absent):
    head = build(*case)
    embeddings, labels = batch(absent=absent)
    wide = embeddings.detach().double().requires_grad_()
    centres = [part.head.class_centres.detach().double().requires_grad_() for part in head.parts]
    losses, total, first = torch.zeros(ROWS, dtype=torch.float64), 0.0, 0
    for number, part in enumerate(head.parts):
        own = (labels >= first) & (labels < first + list(PEOPLE.values())[number])
        if own.any():
            of_source = head_losses(wide[own], centres[number], labels[own] - first, head=part.head)
            losses[own], total = of_source.detach(), total + of_source.sum() / ROWS
        first += list(PEOPLE.values())[number]
    total.backward()
    output = head(embeddings, labels)
    output.loss.backward()
    near(output.loss.item(), total.item(), "loss")
    near(output.sample_loss_B, losses, "loss of each row, in the order of the rows")
    near(output.norm_B, wide.detach().norm(dim=1), "norms")
    assert output.num_rows == ROWS
    near(embeddings.grad, wide.grad, "embeddings")
    for number, part in enumerate(head.parts):
        if number in absent:
            assert part.head.class_centres.grad is None, "nothing may move it"
        else:
            near(part.head.class_centres.grad, centres[number].grad, f"centres of {part.name}")


def test_cosface_of_two_sources_written_out_by_hand():
    """CosFace: -log softmax of s (cos - m at the true class), each row among the people of its own source alone."""
    head = build({"kind": "dense"}, {"kind": "cosface", "margin": 0.35})
    embeddings, labels = batch(absent=(2,))
    unit = F.normalize(embeddings.detach().double(), dim=1)
    expected = []
    for row, label in zip(unit, labels.tolist(), strict=True):
        own, first = (head.parts[0], 0) if label < 7 else (head.parts[1], 7)
        logits = 32.0 * F.normalize(own.head.class_centres.detach().double(), dim=1) @ row
        logits[label - first] -= 32.0 * 0.35
        expected.append(torch.logsumexp(logits, 0) - logits[label - first])
    assert head(embeddings, labels).loss.item() == pytest.approx(torch.stack(expected).mean().item(), rel=1e-5)


def test_a_source_without_rows_rests_whole():
    head = build({"kind": "sampled", "rate": 0.5, "unsampled": "decayed"}, ADAFACE)
    before = copy.deepcopy(head.heads["1"].state_dict())
    head(*batch(absent=(1,))).loss.backward()
    for name, tensor in head.heads["1"].state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert head.heads["0"].num_draws == 1
    assert head.heads["0"].margin.batch_mean != 20.0


@pytest.mark.parametrize("head_case", FUSED_CASES, ids=str)
@pytest.mark.parametrize("absences", [[(), (1,)], [(1,), ()], [(0,), (1, 2)], [(1,), (1,)]], ids=str)
def test_heads_that_move_themselves_do_so_once_a_batch_whichever_parts_they_are_in(head_case, absences):
    config = SgdConfig(lr=0.1)
    head, plain = build(head_case, MAGFACE), build({"kind": "dense"}, MAGFACE)
    updates = [part.head.fuse_update(config.centre_rule()) for part in head.parts]
    group = {"params": list(plain.parameters()), "name": "head", "lr_factor": 1.0}
    optimizer = config.build([group])
    for step in range(2):
        optimizer.zero_grad()
        for part, absent in enumerate(absences):
            for update in updates:
                update.hold = part < len(absences) - 1
            for one in (head, plain):
                one(*batch(absent=absent, seed=step * 2 + part)).loss.backward()
        optimizer.step()
        for ours, theirs in zip(head.parts, plain.parts, strict=True):
            near(ours.head.class_centres.detach(), theirs.head.class_centres.detach(), f"{step} {ours.name}")
    moved = [int(update.num_steps) for update in updates]
    assert moved == [0 if all(number in absent for absent in absences) else 2 for number in range(3)]


def test_one_head_is_a_list_of_one_without_a_name():
    one = build({"kind": "dense"}, MAGFACE).heads["1"]
    (part,) = heads_of(one)
    assert (part.name, part.head, part.first_label) == ("", one, 0)
    assert part.rows_of(torch.tensor([4, 0])).tolist() == [0, 1]


def test_what_cannot_be_is_a_sentence():
    head, (embeddings, labels) = build({"kind": "dense"}, MAGFACE), batch()
    with pytest.raises(InputError, match=r"label 16 is outside 0\.\.15"):
        head(embeddings, labels.clone().fill_(16))
    with pytest.raises(InputError, match="the batch is empty"):
        head(embeddings[:0], labels[:0])
    with pytest.raises(InputError, match="embeddings of one length"):
        HeadPerSource({})
    other = HEADS["dense"]().build(num_classes=3, embedding_dim=8)
    with pytest.raises(InputError, match="embeddings of one length"):
        HeadPerSource({"0": head.heads["0"], "1": other})


# Over ranks: of 14 rows some ranks have none of a source, one has none at all, and source 2 is on no rank.

SIZES = {1: [14], 2: [10, 4], 3: [3, 0, 11]}
RANK_CASES = [
    *[({"kind": kind}, margin) for kind in ("dense", "sharded") for margin in (MAGFACE, ADAFACE)],
    *[({"kind": "sharded"}, {"kind": kind}) for kind in ("curricularface", "adacos", "circle")],
    ({"kind": "sharded", **ALL_SETTINGS}, MAGFACE),
    (FULL_SAMPLE, MAGFACE),
]


def of_rank(rank, ranks):
    embeddings, labels = batch(absent=(2,))
    order = labels.argsort()  # all of source 0 on the first ranks
    first = sum(SIZES[ranks][:rank])
    rows = order[first : first + SIZES[ranks][rank]]
    return embeddings.detach()[rows].clone().requires_grad_(), labels[rows]


def whole_or_none(tensor):
    return None if tensor is None else whole(tensor)


def whole(tensor):
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor.clone()


def step(head, embeddings, labels):
    """As a training step does it: the share of the batch is weighed, and gradients of copies are summed."""
    output = head(embeddings, labels)
    (output.loss * (output.num_rows / ROWS)).backward()
    for part in head.parts:
        sum_gradients(part.head.copied_parameters())
    return {
        "sample_loss": output.sample_loss_B,
        "grad": embeddings.grad,
        "centres": [
            None if p.head.class_centres.grad is None else whole(p.head.class_centres.grad) for p in head.parts
        ],
        "margins": [dict(part.head.margin.state_dict()) for part in head.parts],
    }


def fused_step(head_case, mesh, embeddings, labels):
    head = build(head_case, MAGFACE, mesh)
    for part in head.parts:
        part.head.fuse_update(SgdConfig(lr=0.1).centre_rule())
    head(embeddings, labels).loss.backward()
    return [whole(part.head.class_centres.detach()) for part in head.parts]


def on_ranks():
    rank, ranks = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    mesh = init_device_mesh("cpu", (ranks,)) if ranks > 1 else None
    return {
        "steps": [step(build(*case, mesh), *of_rank(rank, ranks)) for case in RANK_CASES],
        "fused": [fused_step(case, mesh, *of_rank(rank, ranks)) for case in FUSED_CASES],
    }


@pytest.mark.distributed
@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_equal_one_process_whoever_has_rows_of_which_source(ranks):
    alone, together = on_ranks(), run_on_ranks(on_ranks, ranks)
    for index, case in enumerate(RANK_CASES):
        expected, found = alone["steps"][index], [one["steps"][index] for one in together]
        for key in ("sample_loss", "grad"):
            near(torch.cat([one[key] for one in found]), expected[key], f"{case} {key}")
        for one in found:
            assert one["centres"][2] is None
            for number in range(2):
                near(one["centres"][number], expected["centres"][number], f"{case} centres of {number}")
            for ours, theirs in zip(one["margins"], expected["margins"], strict=True):
                for name, value in theirs.items():
                    near(ours[name], value, f"{case} {name}")
    for one in together:
        for ours, theirs in zip(one["fused"], alone["fused"], strict=True):
            for centres, expected in zip(ours, theirs, strict=True):
                near(centres, expected, "fused")
