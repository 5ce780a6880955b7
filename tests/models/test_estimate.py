"""The memory estimate counts what a real training pass saves, without running one."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from marginface.backbones import BACKBONES, IResNetConfig
from marginface.models import HeadSize, estimate_step, measure_backbone
from marginface.models.estimate import measure_activations


def really_saved(backbone: nn.Module, images: torch.Tensor) -> int:
    saved = {}

    def keep(tensor):
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        backbone(images)
    weights = {t.untyped_storage().data_ptr() for t in (*backbone.parameters(), *backbone.buffers())}
    return sum(t.untyped_storage().nbytes() for pointer, t in saved.items() if pointer not in weights)


def test_activations_of_a_small_network_written_out():
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    # saved: the input (5 x 4) and the first layer's activated output (5 x 8), fp32
    stand_in = nn.Sequential(nn.Flatten(), network)
    assert measure_activations(stand_in, (5, 1, 2, 2)) == 4 * (5 * 4 + 5 * 8)


@pytest.mark.parametrize("kind", ["mobilefacenet", "mobilefacenet_045g", "iresnet18"])
def test_activations_equal_those_of_a_real_pass(kind):
    backbone = BACKBONES[kind](kind=kind, embedding_dim=16).build(input_size=32)
    estimated = measure_activations(backbone, (4, 3, 32, 32))
    assert estimated == pytest.approx(really_saved(backbone, torch.randn(4, 3, 32, 32)), rel=0.02)


def test_estimating_changes_neither_statistics_nor_the_random_state():
    backbone = IResNetConfig(kind="iresnet18", embedding_dim=8, dropout=0.4).build(input_size=32)
    before = {name: t.clone() for name, t in backbone.state_dict().items()}
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    measure_activations(backbone, (4, 3, 32, 32))
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(before[name], t) for name, t in backbone.state_dict().items())
    assert all(t.device.type == "cpu" for t in backbone.parameters())


def test_recomputed_blocks_keep_their_inputs_and_the_largest_block():
    backbone = BACKBONES["iresnet18"](kind="iresnet18", embedding_dim=16).build(input_size=32)
    shape = (4, 3, 32, 32)
    whole = measure_activations(backbone, shape)
    recomputed = measure_activations(backbone, shape, recompute_blocks=True)
    assert not backbone.layer1[0]._forward_hooks, "no hook is left"
    one_by_one = [measure_activations(nn.Sequential(block), (4, c, s, s)) for block, c, s in block_inputs(backbone)]
    inputs = sum(4 * 4 * c * s * s for _, c, s in block_inputs(backbone))
    assert recomputed < 0.6 * whole
    assert recomputed >= inputs + max(one_by_one) - max(4 * 4 * c * s * s for _, c, s in block_inputs(backbone))
    assert recomputed <= whole - sum(one_by_one) + max(one_by_one) + inputs


def block_inputs(backbone):
    """Return (block, channels, side) of an iResNet-18 at 32 pixels."""
    sides = {"layer1": [(64, 32), (64, 16)], "layer2": [(64, 16), (128, 8)]}
    sides |= {"layer3": [(128, 8), (256, 4)], "layer4": [(256, 4), (512, 2)]}
    return [(block, *size) for name in sides for block, size in zip(getattr(backbone, name), sides[name], strict=True)]


def iresnet50(**settings):
    with torch.device("meta"):
        backbone = BACKBONES["iresnet50"](kind="iresnet50").build(input_size=112)
    return measure_backbone(backbone, input_size=112, **{"images_at_a_time": 8, **settings})


def test_memory_of_one_rank_written_out():
    backbone = iresnet50()
    assert backbone.weights == 4 * 43_590_848
    assert backbone.trained == 4 * (43_590_848 - 512)  # the last norm's scale is not trained
    head = HeadSize(num_classes=1000, embedding_dim=512)
    estimate = estimate_step(backbone, head, images_at_a_time=8, state_tensors=2)
    assert estimate.memory["backbone weights"] == backbone.weights + backbone.buffers
    assert estimate.memory["backbone gradients"] == backbone.trained
    assert estimate.memory["backbone optimiser"] == 2 * backbone.trained
    assert estimate.memory["backbone gathered"] == 0
    assert [estimate.memory[f"head {n}"] for n in ("weights", "gradients", "optimiser", "logits")] == [
        4 * 1000 * 512,
        4 * 1000 * 512,
        2 * 4 * 1000 * 512,
        4 * 1000 * 8,
    ]
    assert estimate.total_memory == sum(estimate.memory.values())
    assert estimate.head_memory == sum(size for name, size in estimate.memory.items() if name.startswith("head "))
    assert estimate.collectives == ()
    assert estimate.total_sent == 0
    assert iresnet50(half_precision=True).activations == backbone.activations // 2
    assert iresnet50(images_at_a_time=16).activations == pytest.approx(2 * backbone.activations, rel=0.01)


def test_ranks_share_the_head_and_fsdp_the_backbone():
    backbone = iresnet50()
    sizes = {"num_classes": 1_000_003, "embedding_dim": 512}
    sharded = estimate_step(backbone, HeadSize(**sizes, is_sharded=True), images_at_a_time=8, num_ranks=4, fsdp=True)
    assert sharded.memory["head weights"] == 250_001 * 512 * 4
    assert sharded.memory["head logits"] == 250_001 * 32 * 4  # a quarter of the classes, four times the rows
    assert sharded.memory["backbone gradients"] == backbone.trained // 4
    assert sharded.memory["backbone gathered"] == 3 * backbone.largest_block + 2 * backbone.outside_blocks
    sent = {c.name: c.sent(4) for c in sharded.collectives}
    assert sent["embeddings"] == 3 * 8 * 512 * 4  # own rows travel past the three others
    assert sent["backbone gradients"] == round(0.75 * backbone.trained)
    in_blocks = backbone.weights - backbone.outside_blocks
    assert sent["block weights, forward and backward"] == 2 * round(0.75 * in_blocks)
    assert iresnet50(half_precision=True).blocks == in_blocks, "beside batch norms weights stay in fp32"
    dense = estimate_step(backbone, HeadSize(**sizes), images_at_a_time=8, num_ranks=4)
    sent = {c.name: c.sent(4) for c in dense.collectives}
    assert sent["gradient of class centres"] == round(1.5 * 1_000_003 * 512 * 4)
    assert sent["backbone gradients"] == round(1.5 * backbone.trained)


def test_half_of_a_transformer_is_sent_in_half_precision():
    stack = nn.Sequential(nn.Flatten(), nn.Sequential(Block(), Block()), nn.Linear(12, 5))
    sizes = {half: measure_backbone(stack, input_size=2, images_at_a_time=1, half_precision=half) for half in (0, 1)}
    weights = 4 * (12 * 12 + 12)
    assert (sizes[0].blocks, sizes[0].largest_block, sizes[0].outside_blocks) == (2 * weights, weights, 4 * 65)
    assert (sizes[1].blocks, sizes[1].largest_block, sizes[1].outside_blocks) == (weights, weights // 2, 4 * 65)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(12, 12)

    def forward(self, x):
        return x + self.linear(x)


def test_a_fused_update_has_no_gradient_and_sampling_fewer_logits():
    backbone = iresnet50()
    sizes = {"num_classes": 100_000, "embedding_dim": 512, "is_sharded": True}
    fused = estimate_step(backbone, HeadSize(**sizes, has_gradient=False), images_at_a_time=8).memory
    assert fused["head gradients"] == 0
    sampled = HeadSize(**sizes, has_gradient=False, rate=0.1)
    assert estimate_step(backbone, sampled, images_at_a_time=8).memory["head logits"] == 10_000 * 8 * 4
    in_parts = estimate_step(backbone, sampled, images_at_a_time=8, parts=3).memory
    assert in_parts["head gradients"] == 3 * 10_000 * 512 * 4
    only_positives = HeadSize(**sizes, has_gradient=False, rate=0.0)
    assert estimate_step(backbone, only_positives, images_at_a_time=8).memory["head logits"] == 8 * 8 * 4


REALITY = """
import re, sys, torch
from marginface import config as recipes
from marginface.heads import HEADS
from marginface.models import estimate_step, head_size, measure_backbone
from marginface.optim import SgdConfig, build_param_groups

def peak():  # not getrusage's, which begins with that of the parent
    return 1024 * int(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1])

def steps(kind, classes):
    config = recipes.load(HEADS[kind], HEAD)
    backbone = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 256))
    head = config.build(num_classes=classes, embedding_dim=256)
    if config.wants_fused_update:
        head.fuse_update(SgdConfig().centre_rule())
    left_out = [head.class_centres] if head.moves_itself else []
    optimizer = SgdConfig().build(build_param_groups(backbone, head, lr=0.1, weight_decay=0, left_out=left_out))
    for _ in range(2):
        optimizer.zero_grad(set_to_none=True)
        head(backbone(torch.randn(64, 3, 16, 16)), torch.arange(64)).loss.backward()
        optimizer.step()
    size = measure_backbone(backbone, input_size=16, images_at_a_time=64)
    head = head_size(config, num_classes=classes, embedding_dim=256)
    return estimate_step(size, head, images_at_a_time=64).total_memory

HEAD = dict(kind=sys.argv[1], **eval(sys.argv[2]))
steps(sys.argv[1], 200)
before = peak()
estimated = steps(sys.argv[1], 80_000)
print((peak() - before) / estimated)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads a process's peak memory where Linux tells it")
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("dense", {}),
        pytest.param("sharded", {"fused_update": True, "memory": "recompute"}, marks=pytest.mark.slow),
        pytest.param("sampled", {"rate": 0.1}, marks=pytest.mark.slow),
    ],
)
def test_a_real_step_takes_the_memory_that_is_estimated(kind, settings):
    done = subprocess.run([sys.executable, "-c", REALITY, kind, repr(settings)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 0.85 < float(done.stdout) < 1.15
