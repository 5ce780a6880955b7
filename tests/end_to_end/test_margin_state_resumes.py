"""A resumed run has the statistics, draws and scale of an unbroken one, bit by bit, for margins that have such."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from marginface import config as recipes
from marginface.training import checkpoint as checkpoints
from marginface.training.config import TrainConfig
from marginface.training.train import train
from tests.helpers.plain_backbone import KIND
from tests.helpers.runs import log_without_clock, tiny_recipe
from tests.helpers.synthetic import write_faces

PLAIN = {"kind": KIND, "embedding_dim": 16}


@pytest.mark.parametrize(
    "margin",
    [
        {"kind": "adaface", "ema_weight": 0.3},
        {"kind": "elasticface_arc", "plus": True},
        {"kind": "curricularface", "ema_weight": 0.3},
        {"kind": "adacos"},
    ],
    ids=lambda m: m["kind"],
)
def test_state_and_draws_of_a_margin_resume_exactly(margin: dict[str, object], tmp_path: Path) -> None:
    faces = write_faces(tmp_path / "faces", num_identities=4, images_per_identity=6, size=32)
    recipe = tiny_recipe(
        f"folder:{faces}",
        backbone=PLAIN,
        head={"kind": "dense", "scale": 16, "margin": margin},
        epochs=2,
        checkpoint={"every_epochs": 0.5, "keep": 9},
    )
    config = recipes.load(TrainConfig, recipe)
    for name in ("unbroken", "broken"):
        assert train(config, tmp_path / name) == 0
    for step in checkpoints.list_steps(tmp_path / "broken" / "checkpoints")[1:]:
        checkpoints.path_of(tmp_path / "broken" / "checkpoints", step).rename(tmp_path / f"gone-{step}")
    torch.manual_seed(1234)  # whatever the ambient stream does
    assert train(config, tmp_path / "broken", resume=True) == 0
    assert log_without_clock(tmp_path / "broken") == log_without_clock(tmp_path / "unbroken")
