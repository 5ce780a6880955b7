"""Any number of ranks, by DDP or FSDP2, moves the weights as one process does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule

from marginface import config as recipes
from marginface.distributed import Ranks
from marginface.loading.loader import training_batches
from marginface.training.build import TrainingRun
from marginface.training.config import TrainConfig
from marginface.training.step import train_step
from marginface.training.train import prepare
from marginface.training.validation import current_model, whole
from marginface.training.warm_start import warm_start
from tests.helpers.gloo import run_on_ranks
from tests.helpers.plain_backbone import KIND
from tests.helpers.runs import tiny_recipe
from tests.helpers.synthetic import write_faces

pytestmark = pytest.mark.distributed

MAGFACE = {"kind": "magface", "low_norm": 1, "high_norm": 20, "penalty_weight": 20}  # its gradient reaches the norms
ADAFACE = {"kind": "adaface", "ema_weight": 0.3}
DENSE, SHARDED = {"kind": "dense"}, {"kind": "sharded"}
FUSED = {"kind": "sharded", "fused_update": True}
SAMPLED = {"kind": "sampled", "rate": 1.0}  # all classes, so that the draws of different ranks agree
CASES: dict[str, dict[str, Any]] = {
    "magface": {"margin": MAGFACE},
    "adaface": {"margin": ADAFACE},
    "warm-started": {"margin": ADAFACE, "norm_warm_start_images": 20},
    "accumulated": {"margin": MAGFACE, "accumulation_steps": 2},
    "clipped": {"margin": MAGFACE, "clip_norm": 0.05},
    "recomputed": {"margin": MAGFACE, "activation_checkpointing": True},
    "averaged-adamw": {"margin": MAGFACE, "optim": {"kind": "adamw", "lr": 1e-3}, "ema": {"decay": 0.5}},
    "sharded": {"margin": MAGFACE, "head": SHARDED},
    "sharded-adaface": {"margin": ADAFACE, "head": SHARDED},
    "sharded-accumulated": {"margin": MAGFACE, "head": SHARDED, "accumulation_steps": 2},
    "sharded-clipped": {"margin": MAGFACE, "head": SHARDED, "clip_norm": 0.05},
    "fused": {"margin": MAGFACE, "head": FUSED},
    "fused-accumulated": {"margin": MAGFACE, "head": FUSED, "accumulation_steps": 2},
    "fused-adamw": {"margin": ADAFACE, "head": FUSED, "optim": {"kind": "adamw", "lr": 1e-3}},
    "sampled": {"margin": MAGFACE, "head": SAMPLED},
    "sampled-accumulated": {"margin": MAGFACE, "head": SAMPLED, "accumulation_steps": 2},
    "sources": {"margin": MAGFACE, "head_per_source": True},
    "sources-sharded-warm-started": {
        "margin": ADAFACE,
        "head": SHARDED,
        "head_per_source": True,
        "norm_warm_start_images": 36,
    },
    "sources-fused-accumulated": {
        "margin": MAGFACE,
        "head": FUSED,
        "head_per_source": True,
        "accumulation_steps": 2,
    },
    "sources-sampled": {"margin": MAGFACE, "head": SAMPLED, "head_per_source": True},
    "sampled-decayed-clipped": {"margin": MAGFACE, "head": SAMPLED | {"unsampled": "decayed"}, "clip_norm": 0.05},
}
SPREADS = ("ddp", "fsdp")
STEPS = 3


def _recipe(
    faces: str, *, margin: dict[str, Any], head: dict[str, Any] = DENSE, spread: str = "ddp", **changes: Any
) -> Any:
    more = [f"{faces}-few"] if changes.get("head_per_source") else []
    recipe = tiny_recipe(
        faces,
        data={"source": faces, "more_sources": more, "input_size": 32, "batch_size": 12, "num_workers": 0},
        backbone={"kind": KIND, "embedding_dim": 16, "num_blocks": 2},
        head=head | {"scale": 16, "margin": margin},
        distributed={"backbone": spread},
        epochs=STEPS / 3,
    )
    return recipes.load(TrainConfig, recipe | changes)


def _train(config: TrainConfig) -> dict[str, Any]:
    """Return what three steps on this rank's share say and leave, all of it whole."""
    world_size = dist.get_world_size() if dist.is_initialized() else 1
    rank = dist.get_rank() if dist.is_initialized() else 0
    mesh = init_device_mesh("cpu", (world_size,)) if world_size > 1 else None
    run = prepare(config, Ranks(rank, world_size, torch.device("cpu"), mesh))
    assert isinstance(run.forward_backbone, FSDPModule) == (world_size > 1 and config.distributed.backbone == "fsdp")
    if config.norm_warm_start_images:
        warm_start(run)
    batches = training_batches(run.dataset, run.batches, first_step=0, num_steps=STEPS, num_workers=0)
    steps = [train_step(run, batch, step, keep_bad_batch_in=Path("never")) for step, batch in enumerate(batches)]
    return {
        "loss": [s.loss for s in steps],
        "norm": [s.norm for s in steps],
        "target_cos": [s.target_cos for s in steps],
        "grad_norm": [s.grad_norm for s in steps],
        "of sources": [[s.images, s.loss, s.target_cos] for step in steps for s in step.sources.values()],
        **{f"head.{name}": whole(tensor) for name, tensor in run.task.head.state_dict().items()},
        **{f"backbone.{name}": tensor for name, tensor in _backbone_of(run).items()},
    }


def _backbone_of(run: TrainingRun) -> dict[str, Tensor]:
    return dict(current_model(run).backbone.state_dict())


def _train_all(configs: dict[str, TrainConfig]) -> dict[str, Any]:
    return {name: _train(config) for name, config in configs.items()}


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("exact")  # 7 people: no number of ranks here divides the classes
    write_faces(folder / "faces-few", num_identities=3, images_per_identity=2, size=32)  # so that parts have none
    return f"folder:{write_faces(folder / 'faces', num_identities=7, images_per_identity=6, size=32)}"


@pytest.fixture(scope="module")
def alone(faces: str) -> dict[str, Any]:
    return _train_all({name: _recipe(faces, **case) for name, case in CASES.items()})


@pytest.mark.parametrize("world_size", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_ranks_move_the_weights_as_one_process_does(faces: str, alone: dict[str, Any], world_size: int) -> None:
    configs = {f"{s} {name}": _recipe(faces, spread=s, **case) for s in SPREADS for name, case in CASES.items()}
    for found in run_on_ranks(_train_all, world_size, configs):
        for name, ours in found.items():
            theirs = alone[name.split()[1]]
            assert ours.keys() == theirs.keys()
            for what, value in theirs.items():
                difference = (torch.as_tensor(ours[what]) - torch.as_tensor(value)).abs()
                assert (difference <= 1e-5 + 2e-4 * torch.as_tensor(value).abs()).all(), f"{name}: {what}"


@pytest.mark.slow
def test_a_transformer_in_parts_trains_as_a_whole_one_does(tmp_path: Path) -> None:
    faces = f"folder:{write_faces(tmp_path / 'faces', num_identities=7, images_per_identity=2, size=112)}"
    changes = {
        "data": {"source": faces, "input_size": 112, "batch_size": 4, "num_workers": 0},
        "backbone": {"kind": "vit_t", "embedding_dim": 32},
        "optim": {"kind": "adamw", "lr": 1e-5},
    }
    in_parts = changes | {"activation_checkpointing": True}
    configs = {
        "whole": _recipe(faces, margin=MAGFACE, head=SHARDED, **changes),
        "in parts": _recipe(faces, margin=MAGFACE, head=SHARDED, spread="fsdp", **in_parts),
    }
    found, _ = run_on_ranks(_train_all, 2, configs)
    for number in ("loss", "grad_norm", "norm"):
        assert found["in parts"][number] == pytest.approx(found["whole"][number], rel=1e-4)


def test_the_cases_are_told_apart_and_heads_agree(alone: dict[str, Any]) -> None:
    plain = alone["magface"]
    for other in ("clipped", "averaged-adamw"):
        assert (alone[other]["backbone.0.weight"] - plain["backbone.0.weight"]).abs().max() > 1e-4
    assert alone["adaface"]["head.margin.batch_mean"] < 19.0, "the statistics have moved from 20"
    torch.testing.assert_close(alone["recomputed"], plain)
    for same in ("sharded", "fused", "sampled"):
        found = {name: value for name, value in alone[same].items() if name in plain and name != "grad_norm"}
        torch.testing.assert_close(found, {name: plain[name] for name in found}, rtol=1e-4, atol=1e-6)
