"""A head whose classes are split over ranks equals one process: loss, all gradients, statistics, its own update."""

import pytest
import torch

from marginface.config import load
from marginface.heads import HEADS
from marginface.heads import chunked_softmax as chunked
from marginface.margins import MARGINS
from marginface.optim import AdamWConfig, SgdConfig
from tests.helpers.gloo import run_on_ranks

pytestmark = pytest.mark.distributed

DIM, CHUNK = 12, 4
NUM_CLASSES = 11  # over 2, 3 and 4 ranks: 6 + 5, 4 + 4 + 3, 3 + 3 + 3 + 2
SIZES = {1: [14], 2: [8, 6], 3: [5, 5, 4], 4: [6, 1, 3, 4]}  # rows a rank; they need not be the same
MARGIN_CASES = [{"kind": kind} for kind in MARGINS if not kind.startswith("elastic")]  # their draws belong to ranks
HEAD_CASES = [
    {"kind": "sharded"},
    {"kind": "sharded", "memory": "recompute", "sub_centres": 2, "spheres": {"count": 2}, "filter_above": 0.3},
    {"kind": "sampled", "rate": 1.0, "unsampled": "decayed"},
]
FUSED_CASES = [
    {"kind": "sharded", "fused_update": True},
    {"kind": "sampled", "rate": 1.0, "sub_centres": 2},
]


def build(head_case, margin, mesh=None):
    scale = 1.0 if margin["kind"] == "softmax" else 32.0
    config = load(HEADS[head_case["kind"]], {**head_case, "margin": margin, "scale": scale})
    return config.build(num_classes=NUM_CLASSES, embedding_dim=DIM, seed=1, mesh=mesh)


def batch():
    generator = torch.Generator().manual_seed(2)
    labels = torch.randint(NUM_CLASSES, (14,), generator=generator)
    return 6 * torch.randn(14, DIM, generator=generator), labels


def of_rank(rank, ranks):
    first = sum(SIZES[ranks][:rank])
    embeddings, labels = batch()
    rows = slice(first, first + SIZES[ranks][rank])
    return embeddings[rows].clone().requires_grad_(), labels[rows]


def step(head, embeddings, labels):
    output = head(embeddings, labels)
    output.loss.backward()
    gradient = head.class_centres.grad
    gradient = None if gradient is None else (gradient.full_tensor() if hasattr(gradient, "full_tensor") else gradient)
    centres = head.class_centres.detach()
    return {
        "loss": output.loss.item(),
        "num_rows": output.num_rows,
        "sample_loss": output.sample_loss_B,
        "target_cos": output.target_cos_B,
        "norm": output.norm_B,
        "grad": embeddings.grad,
        "centres_grad": gradient,
        "centres": centres.full_tensor() if hasattr(centres, "full_tensor") else centres,
        "margin": {k: v.clone() for k, v in head.margin.state_dict().items()},
    }


def on_ranks(cases):
    """Run each case on this rank and return what it gave."""
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh

    chunked.FEWEST_PER_CHUNK, chunked.ENTRIES_PER_CHUNK = CHUNK, 1
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    embeddings_of = [of_rank(dist.get_rank(), dist.get_world_size()) for _ in cases]
    return [
        step(build(head_case, margin, mesh), *data) for (head_case, margin), data in zip(cases, embeddings_of, strict=True)
    ]


def fused_on_ranks(cases):
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh

    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    results = []
    for head_case, optimizer in cases:
        head = build(head_case, {"kind": "cosface"}, mesh)
        update = head.fuse_update(optimizer.centre_rule())
        for part in range(4):  # two steps of two parts, then what the centres have become
            update.hold = part % 2 == 0
            last = step(head, *of_rank(dist.get_rank(), dist.get_world_size()))
        results.append(last)
    return results


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_ranks_equal_one_process(ranks, monkeypatch):
    monkeypatch.setattr(chunked, "FEWEST_PER_CHUNK", CHUNK)
    monkeypatch.setattr(chunked, "ENTRIES_PER_CHUNK", 1)
    cases = [(head, margin) for head in HEAD_CASES for margin in MARGIN_CASES]
    by_rank = run_on_ranks(on_ranks, ranks, cases)
    for index, (head_case, margin) in enumerate(cases):
        alone = step(build(head_case, margin), *of_rank(0, 1))
        together = [results[index] for results in by_rank]
        name = f"{head_case} {margin}"
        for one in together:
            assert one["num_rows"] == 14, name
            assert one["loss"] == pytest.approx(alone["loss"], rel=1e-5), name
            near(one["centres_grad"], alone["centres_grad"], name)
            for key, value in alone["margin"].items():
                near(one["margin"][key], value, f"{name} {key}")
        for key in ("sample_loss", "target_cos", "norm", "grad"):
            near(torch.cat([one[key] for one in together]), alone[key], f"{name} {key}")


def near(ours, theirs, name):
    assert (ours.double() - theirs.double()).abs().max() <= 1e-5 * theirs.abs().max().clamp_min(1e-12), name


@pytest.mark.parametrize("ranks", [2, 4])
def test_the_fused_update_over_ranks_equals_an_optimiser_on_one_process(ranks):
    optimizers = [SgdConfig(lr=0.1, nesterov=True), AdamWConfig(lr=0.01)]
    cases = [(head, optimizer) for head in FUSED_CASES for optimizer in optimizers]
    by_rank = run_on_ranks(fused_on_ranks, ranks, cases)
    for index, (head_case, config) in enumerate(cases):
        alone = build({**head_case, "kind": "dense", "fused_update": False} if head_case["kind"] == "sharded" else
                      {"kind": "dense", "sub_centres": 2}, {"kind": "cosface"})
        optimizer = config.build([{"params": [alone.class_centres], "name": "head", "lr_factor": 1.0}])
        for _ in range(2):
            optimizer.zero_grad()
            for _ in range(2):
                alone(*of_rank(0, 1)).loss.backward()
            optimizer.step()
        for results in by_rank:
            assert results[index]["centres_grad"] is None
            near(results[index]["centres"], alone.class_centres.detach(), f"{head_case} {config}")
