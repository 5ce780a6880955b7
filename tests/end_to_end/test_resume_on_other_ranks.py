"""A run that goes on with other numbers of ranks sees the same batches and ends where one process would."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from marginface.training import checkpoint as checkpoints
from marginface.training.log import read_events
from tests.helpers.plain_backbone import KIND
from tests.helpers.runs import marginface, tiny_recipe, write_recipe
from tests.helpers.synthetic import write_faces

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

MAGFACE = {"kind": "magface", "low_norm": 1, "high_norm": 20, "penalty_weight": 20}
HEADS: dict[str, dict[str, Any]] = {
    "sharded": {"head": {"kind": "sharded"}},
    "dense": {"head": {"kind": "dense"}},
    "fused": {"head": {"kind": "sharded", "fused_update": True}, "optim": {"kind": "adamw", "lr": 0.001}},
    "sampled": {"head": {"kind": "sampled", "rate": 1.0}},
    "sources": {"head": {"kind": "sharded", "fused_update": True}, "head_per_source": True},
    "fsdp": {"head": {"kind": "sharded"}, "distributed": {"backbone": "fsdp"}},
}


@pytest.mark.parametrize("name", HEADS)
def test_two_then_three_then_one_rank_end_as_one_process_does(name: str, tmp_path: Path) -> None:
    faces = write_faces(tmp_path / "faces", num_identities=7, images_per_identity=6, size=32)
    write_faces(tmp_path / "few", num_identities=3, images_per_identity=2, size=32)
    source = f"folder:{faces}"
    more = [f"folder:{tmp_path / 'few'}"] if HEADS[name].get("head_per_source") else []
    recipe = tiny_recipe(
        source,
        data={"source": source, "more_sources": more, "input_size": 32, "batch_size": 12, "num_workers": 0},
        backbone={"kind": KIND, "embedding_dim": 16, "num_blocks": 1},
        optim={"kind": "sgd", "lr": 0.01},
        ema={"decay": 0.5},
        clip_norm=20.0,
        epochs=3,
        checkpoint={"every_epochs": 1, "keep": 9},
        log={"every_steps": 2},  # three steps an epoch: a line's means span a change of ranks
    )
    recipe |= {key: value for key, value in HEADS[name].items() if key != "head"}
    recipe["head"] = HEADS[name]["head"] | {"scale": 16, "margin": MAGFACE}
    path = write_recipe(tmp_path / "recipe.yaml", recipe)
    alone, moved = tmp_path / "alone", tmp_path / "moved"
    _train(path, alone)
    _train(path, moved, torchrun=2)
    _back_to(moved, step=3)
    _train(path, moved, "--resume", torchrun=3)
    _back_to(moved, step=6)
    _train(path, moved, "--resume")
    ours, theirs = (read_events(out / "log.jsonl", "step") for out in (moved, alone))
    assert [event["step"] for event in ours] == [event["step"] for event in theirs]
    for number in ("loss", "grad_norm", "mean_norm", "mean_target_cos", "lr"):
        torch.testing.assert_close([e[number] for e in ours], [e[number] for e in theirs], rtol=1e-3, atol=1e-5)
    weights, expected = (load_file(out / "model" / "model.safetensors") for out in (moved, alone))
    torch.testing.assert_close(weights, expected, rtol=1e-3, atol=1e-5)


def _train(recipe: Path, out: Path, *words: str, torchrun: int | None = None) -> None:
    done = marginface("train", recipe, "--out", out, *words, torchrun=torchrun)
    assert done.returncode == 0, done.stderr


def _back_to(run: Path, *, step: int) -> None:
    later = [s for s in checkpoints.list_steps(run / "checkpoints") if s > step]
    assert later, "there is something to do again"
    for s in later:
        shutil.rmtree(checkpoints.path_of(run / "checkpoints", s))
