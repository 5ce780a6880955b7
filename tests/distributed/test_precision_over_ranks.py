"""Half precision and compiled backbones over ranks: the same step on all of them, close to fp32's."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard

from marginface import config as recipes
from marginface.training.config import PrecisionConfig, TrainConfig
from marginface.training.precision import build_scaler
from tests.distributed.test_training_is_exact import MAGFACE, _train_all
from tests.helpers.gloo import run_on_ranks
from tests.helpers.plain_backbone import KIND
from tests.helpers.runs import tiny_recipe
from tests.helpers.synthetic import write_faces

pytestmark = pytest.mark.distributed


def _scaled_step(overflow: bool) -> dict[str, float]:
    """One step of a scaler over a plain and a sharded parameter; only the second rank's shard may overflow."""
    mesh = init_device_mesh("cpu", (2,))
    plain, sharded = (
        nn.Parameter(torch.ones(4)),
        nn.Parameter(DTensor.from_local(torch.ones(2, 3), mesh, [Shard(0)])),
    )
    optimizer = torch.optim.SGD([{"params": [plain]}, {"params": [sharded]}], lr=0.5)
    scaler = build_scaler(PrecisionConfig(dtype="fp16", force=True), torch.device("cpu"))
    scale = scaler.get_scale()
    scaler.scale(torch.ones(()))  # makes the scale exist
    plain.grad = torch.full((4,), scale)
    gradient = torch.full((2, 3), scale)
    if overflow and dist.get_rank() == 1:
        gradient[0, 0] = math.inf
    sharded.grad = DTensor.from_local(gradient, mesh, [Shard(0)])
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    last = sharded.to_local()[1, 1].item()
    return {"plain": plain[0].item(), "sharded": last, "scale": scaler.get_scale() / scale}


@pytest.mark.parametrize("overflow", [False, True])
def test_an_overflow_on_one_rank_skips_the_step_on_all(overflow: bool) -> None:
    expected = (
        {"plain": 1.0, "sharded": 1.0, "scale": 0.5} if overflow else {"plain": 0.5, "sharded": 0.5, "scale": 1.0}
    )
    assert run_on_ranks(_scaled_step, 2, overflow) == [expected, expected]


def _configs(folder: Path, cases: dict[str, dict[str, Any]]) -> dict[str, TrainConfig]:
    source = f"folder:{write_faces(folder / 'faces', num_identities=7, images_per_identity=6, size=32)}"
    recipe = tiny_recipe(
        source,
        data={"source": source, "input_size": 32, "batch_size": 12, "num_workers": 0},
        backbone={"kind": KIND, "embedding_dim": 16, "num_blocks": 2},
        head={"kind": "sharded", "scale": 16, "margin": MAGFACE},
        optim={"kind": "sgd", "lr": 0.01},
        epochs=1,
    )
    return {name: recipes.load(TrainConfig, recipe | changes) for name, changes in cases.items()}


@pytest.mark.slow
def test_half_precision_is_near_fp32_under_ddp_and_fsdp(tmp_path: Path) -> None:
    half = {
        f"{spread} {dtype}": {"distributed": {"backbone": spread}, "precision": {"dtype": dtype, "force": True}}
        for spread in ("ddp", "fsdp")
        for dtype in ("bf16", "fp16")
    }
    first, second = run_on_ranks(_train_all, 2, _configs(tmp_path, {"fp32": {}} | half))
    for name in half:
        assert first[name]["loss"] == second[name]["loss"]
        assert first[name]["loss"] != first["fp32"]["loss"], "something was computed in half precision"
        steps = 3 if "bf16" in name else 1  # the fp16 scaler begins too high and skips steps
        assert first[name]["loss"][:steps] == pytest.approx(first["fp32"]["loss"][:steps], rel=0.02)


@pytest.mark.slow
def test_compiled_backbones_train_as_others_do(tmp_path: Path) -> None:
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        pytest.skip("torch.compile needs a C++ compiler here")
    compiled = {
        "ddp": {"compile": True},
        "fsdp, recomputed": {
            "compile": True,
            "activation_checkpointing": True,
            "distributed": {"backbone": "fsdp"},
        },
    }
    found, _ = run_on_ranks(_train_all, 2, _configs(tmp_path, {"plain": {}} | compiled))
    for name in compiled:
        for number in ("loss", "grad_norm"):
            assert found[name][number] == pytest.approx(found["plain"][number], rel=1e-3)
        torch.testing.assert_close(
            found[name]["backbone.6.weight"], found["plain"]["backbone.6.weight"], rtol=1e-3, atol=1e-5
        )
