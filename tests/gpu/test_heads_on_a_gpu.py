"""What only a GPU can show: heads and a training step there equal those on the CPU. Run with `pytest -m gpu`."""

import copy

import pytest
import torch

from marginface.config import load
from marginface.heads import HEADS
from marginface.margins import MARGINS
from marginface.optim import SgdConfig
from marginface.training.config import TrainConfig
from marginface.training.train import train
from tests.helpers.runs import tiny_recipe
from tests.helpers.synthetic import write_faces

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

DIM, NUM_CLASSES, BATCH = 64, 9000, 48
HEAD_CASES = [
    {"kind": "dense"},
    {"kind": "dense", "memory": "recompute", "sub_centres": 2, "spheres": {"count": 2}, "filter_above": 0.3},
    {"kind": "sampled", "rate": 0.3, "unsampled": "decayed"},
]


def step(head, device):
    """Loss and gradients of one step, on the CPU."""
    generator = torch.Generator().manual_seed(0)
    embeddings = (9 * torch.randn(BATCH, DIM, generator=generator)).to(device).requires_grad_()
    labels = torch.randint(NUM_CLASSES, (BATCH,), generator=generator).to(device)
    head = head.to(device)
    loss = head(embeddings, labels).loss
    loss.backward()
    gradient = head.class_centres.grad
    return loss.item(), embeddings.grad.cpu(), None if gradient is None else gradient.cpu()


def build(head_case, margin):
    scale = 1.0 if margin == "softmax" else 32.0
    config = load(HEADS[head_case["kind"]], {**head_case, "margin": margin, "scale": scale})
    return config.build(num_classes=NUM_CLASSES, embedding_dim=DIM, seed=1)


@pytest.mark.parametrize("head_case", HEAD_CASES, ids=str)
@pytest.mark.parametrize("margin", [kind for kind in MARGINS if not kind.startswith("elastic")])
def test_a_head_on_the_gpu_equals_the_one_on_the_cpu(head_case, margin):
    torch.set_float32_matmul_precision("highest")  # no TF32
    head = build(head_case, margin)
    there, here = step(copy.deepcopy(head), "cuda"), step(head, "cpu")
    assert there[0] == pytest.approx(here[0], rel=1e-4)
    for ours, theirs in zip(there[1:], here[1:], strict=True):
        assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()


def test_the_fused_update_on_the_gpu_equals_the_one_on_the_cpu():
    centres = []
    for device in ("cuda", "cpu"):
        head = build({"kind": "sampled", "rate": 0.2}, "cosface")
        head.to(device).fuse_update(SgdConfig(lr=0.1).centre_rule())
        for _ in range(3):
            step(head, device)
        centres.append(head.class_centres.detach().cpu())
    torch.testing.assert_close(*centres, rtol=1e-3, atol=1e-5)


def test_the_fused_update_leaves_no_gradient_in_the_gpus_memory():
    head = build({"kind": "dense", "memory": "recompute"}, "cosface").cuda()
    head.fuse_update(SgdConfig(lr=0.1).centre_rule())
    step(head, "cuda")
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step(head, "cuda")
    centres = head.class_centres.numel() * 4
    assert torch.cuda.max_memory_allocated() - before < 0.5 * centres


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_a_run_in_half_precision_learns(tmp_path, dtype):
    faces = write_faces(tmp_path / "faces", num_identities=6, images_per_identity=6, size=32)
    recipe = tiny_recipe(f"folder:{faces}", precision={"dtype": dtype})
    assert train(load(TrainConfig, recipe), tmp_path / "run") == 0
