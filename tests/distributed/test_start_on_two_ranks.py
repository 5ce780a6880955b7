"""Fine-tuning on two ranks is fine-tuning on one: class means, what stays, and distillation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from marginface import config as recipes
from marginface.images.normalize import InputContract
from marginface.models import FaceModel, save_model
from marginface.training.config import TrainConfig
from marginface.training.log import read_events
from tests.helpers.plain_backbone import KIND
from tests.helpers.runs import marginface, tiny_recipe, write_recipe
from tests.helpers.synthetic import write_faces

pytestmark = pytest.mark.distributed
CASES = {
    "last_stage": {"start": {"trains": "last_stage", "frozen_batch_norm": True, "distillation": 2.0}},
    "head": {
        "start": {"trains": "head"},
        "head": {"kind": "sharded", "scale": 16, "margin": {"kind": "arcface", "margin": 0.2}},
    },
}


@pytest.mark.parametrize(
    "case", ["last_stage", *(pytest.param(case, marks=pytest.mark.slow) for case in CASES if case != "last_stage")]
)
def test_two_ranks_equal_one_process(case: str, tmp_path: Path) -> None:
    faces = write_faces(tmp_path / "faces", num_identities=5, images_per_identity=6, size=32)
    backbone = {"kind": KIND, "num_blocks": 2, "batch_norm": True}
    changes = {"backbone": backbone, "epochs": 1} | CASES[case]
    changes["start"] = {"model": str(tmp_path / "model")} | changes["start"]
    recipe = tiny_recipe(f"folder:{faces}", **changes)
    config = recipes.load(TrainConfig, recipe).backbone
    save_model(FaceModel(config.build(input_size=32, seed=7), config, InputContract(input_size=32)), tmp_path / "model")
    file = write_recipe(tmp_path / "recipe.yaml", recipe)
    for out, ranks in (("one", None), ("two", 2)):
        done = marginface("train", file, "--out", tmp_path / out, torchrun=ranks)
        assert done.returncode == 0, done.stderr
    one, two = (read_events(tmp_path / out / "log.jsonl", "step") for out in ("one", "two"))
    for name in ("loss", "grad_norm", "mean_target_cos"):
        torch.testing.assert_close([s[name] for s in two], [s[name] for s in one], rtol=2e-4, atol=1e-5)
    before, ours, theirs = (
        load_file(tmp_path / folder / "model.safetensors") for folder in ("model", "two/model", "one/model")
    )
    for name, weight in theirs.items():
        torch.testing.assert_close(ours[name], weight, rtol=1e-3, atol=1e-5)
        assert torch.equal(ours[name], before[name]) == torch.equal(weight, before[name]), name
