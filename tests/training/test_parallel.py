"""What is done to a backbone before training leaves its names, its gradients and its statistics alone."""

from __future__ import annotations

import copy
import shutil
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from marginface import config as recipes
from marginface.backbones import BACKBONES
from marginface.distributed import Ranks, repeated_blocks
from marginface.errors import InputError
from marginface.models import count_parameters
from marginface.training.config import TrainConfig
from marginface.training.parallel import spread_backbone
from tests.helpers.plain_backbone import KIND
from tests.helpers.runs import tiny_recipe

ALONE = Ranks(0, 1, torch.device("cpu"))


def _config(**changes: Any) -> TrainConfig:
    """Return a run's config with plain memory order, so that rounding and dropout are those of the plain backbone."""
    return recipes.load(TrainConfig, tiny_recipe("folder:none", **({"precision": {"channels_last": False}} | changes)))


def _pass(forward: nn.Module, backbone: nn.Module, *, seed: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
    torch.manual_seed(seed)
    images = torch.randn(4, 3, 32, 32)
    embeddings = forward(images)
    embeddings.square().sum().backward()
    return embeddings.detach(), {name: p.grad for name, p in backbone.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    "kind",
    [{"kind": "iresnet18"}, {"kind": KIND, "num_blocks": 2, "batch_norm": True, "dropout": 0.3}],
    ids=lambda k: k["kind"][:9],
)
def test_recomputed_blocks_have_equal_gradients_and_statistics_that_move_once(kind: dict[str, Any]) -> None:
    config = _config(backbone=kind | {"embedding_dim": 16}, activation_checkpointing=True)
    plain = config.backbone.build(input_size=32, seed=1)
    recomputed = copy.deepcopy(plain)
    forward = spread_backbone(recomputed, config, ALONE)
    for step in range(2):
        expected, gradients = _pass(plain, plain, seed=step)
        found, ours = _pass(forward, recomputed, seed=step)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(ours, gradients, rtol=1e-4, atol=1e-5)
    assert dict(recomputed.named_buffers()), "there are running statistics"
    torch.testing.assert_close(dict(recomputed.state_dict()), dict(plain.state_dict()))


def test_a_recomputed_backbone_keeps_block_inputs_only() -> None:
    kept: dict[bool, int] = {}
    for recompute in (False, True):
        config = _config(backbone={"kind": "iresnet18", "embedding_dim": 16}, activation_checkpointing=recompute)
        backbone = config.backbone.build(input_size=32, seed=1)
        forward = spread_backbone(backbone, config, ALONE)
        weights = {p.untyped_storage().data_ptr() for p in backbone.parameters()}
        saved: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:  # noqa: B023
                saved[storage.data_ptr()] = storage.nbytes()  # noqa: B023
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            embeddings = forward(torch.randn(4, 3, 32, 32))
        kept[recompute] = sum(saved.values())
        del embeddings
    assert kept[True] < 0.5 * kept[False]


STACKS = ("iresnet18", "iresnet100", "mobilefacenet", "mobilefacenet_045g", "vit_t", "edgeface_xs")


@pytest.mark.parametrize("kind", [kind for kind in STACKS if kind in BACKBONES])
def test_backbones_are_stacks_of_blocks(kind: str) -> None:
    with torch.device("meta"):
        backbone = BACKBONES[kind](kind=kind).build(input_size=112)
    blocks = repeated_blocks(backbone)
    inside, names = sum(count_parameters(block) for block in blocks.values()), dict(backbone.named_modules())
    assert len(blocks) >= 8
    assert inside > 0.4 * count_parameters(backbone)
    assert all(names[name] is block for name, block in blocks.items())
    parts = [id(part) for block in blocks.values() for part in block.modules()]
    assert len(parts) == len(set(parts)), "no block lies in another"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"distributed": {"sync_batch_norm": True}},
            "distributed.sync_batch_norm: .* needs CUDA, and this device is CPU",
        ),
        (
            {"activation_checkpointing": True, "backbone": {"kind": KIND}},
            "activation_checkpointing: .* no repeated blocks",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(changes: dict[str, Any], sentence: str) -> None:
    config = _config(**changes)
    with pytest.raises(InputError, match=sentence):
        spread_backbone(config.backbone.build(input_size=32), config, ALONE)


def test_compiling_without_a_compiler_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor import cpp_builder
    from torch._inductor.exc import InvalidCxxCompiler

    def none() -> str:
        raise InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none)
    config = _config(compile=True)
    with pytest.raises(InputError, match=r"compile: .* install g\+\+"):
        spread_backbone(config.backbone.build(input_size=32), config, ALONE)


@pytest.mark.slow
@pytest.mark.parametrize("recompute", [False, True])
def test_a_compiled_backbone_has_equal_gradients_and_its_own_names(recompute: bool) -> None:
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        pytest.skip("torch.compile needs a C++ compiler here")
    kind = {"kind": KIND, "embedding_dim": 16, "num_blocks": 2, "batch_norm": True}
    config = _config(backbone=kind, compile=True, activation_checkpointing=recompute)
    plain = config.backbone.build(input_size=32, seed=1)
    compiled = copy.deepcopy(plain)
    forward = spread_backbone(compiled, config, ALONE)
    torch._dynamo.reset()
    for step in range(2):
        expected, gradients = _pass(plain, plain, seed=step)
        found, ours = _pass(forward, compiled, seed=step)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(ours, gradients, rtol=1e-3, atol=1e-4)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0, "something was compiled"
    torch.testing.assert_close(dict(compiled.state_dict()), dict(plain.state_dict()), rtol=1e-4, atol=1e-5)


def test_compiling_under_fsdp_needs_blocks() -> None:
    config = _config(compile=True, backbone={"kind": KIND}, distributed={"backbone": "fsdp"})
    with pytest.raises(InputError, match="compile: under fsdp blocks are compiled, and .* has none"):
        spread_backbone(config.backbone.build(input_size=32), config, ALONE)
