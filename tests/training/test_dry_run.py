"""A dry run reckons for any number of ranks and classes, and refuses what a run would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marginface import config as recipes
from marginface.cli.main import main
from marginface.errors import InputError
from marginface.training import dry_run
from marginface.training.config import TrainConfig
from tests.helpers.plain_backbone import KIND
from tests.helpers.runs import tiny_recipe, write_recipe
from tests.helpers.synthetic import write_faces


@pytest.fixture
def faces(tmp_path: Path) -> str:
    return f"folder:{write_faces(tmp_path / 'faces', num_identities=6, images_per_identity=4, size=32)}"


def _config(faces: str, **changes: Any) -> TrainConfig:
    return recipes.load(TrainConfig, tiny_recipe(faces, **({"backbone": {"kind": KIND}} | changes)))


def test_ranks_share_and_send(faces: str) -> None:
    config = _config(faces, head={"kind": "sharded", "scale": 16})
    alone, three = dry_run.describe_run(config), dry_run.describe_run(config, num_ranks=3)
    assert "on each of 1 rank(s)" in alone
    assert "sent" not in alone
    assert "on each of 3 rank(s)" in three
    for words in ("gradient of embeddings", "(reduce-scatter)", "backbone gradients", "(all-reduce)"):
        assert words in three


class ManyPeople:
    """Records of twenty million people, of which nothing but the number is there."""

    location = "nowhere"
    identities = range(20_000_000)
    labels = np.zeros(0, dtype=np.int64)

    def __len__(self) -> int:
        return 10**9


def test_twenty_million_classes_are_reckoned_with_and_not_built(faces: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry_run, "open_training_records", lambda config, world_size: ManyPeople())
    config = _config(
        faces,
        data={"source": "nowhere", "input_size": 32, "batch_size": 512},
        backbone={"kind": KIND, "embedding_dim": 512},
        head={"kind": "sampled", "rate": 0.1, "memory": "recompute"},
    )
    said = dry_run.describe_run(config, num_ranks=256)
    assert "10,240,000,000 parameters (20,000,000 classes)" in said
    assert f"head weights                      {20e6 * 512 * 4 / 256 / 2**20:.2f} MiB" in said


@pytest.mark.parametrize(
    ("changes", "num_ranks", "sentence"),
    [
        ({}, 4, "cannot be shared evenly by 4 ranks|fewer than 2 images"),
        ({"head": {"kind": "dense", "spheres": {"count": 3}}}, 1, "spheres.count"),
        ({"activation_checkpointing": True}, 1, "no repeated blocks"),
        ({"norm_warm_start_images": 9}, 1, "keeps no statistics of norms"),
    ],
)
def test_it_refuses_what_a_run_would(faces: str, changes: dict[str, Any], num_ranks: int, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        dry_run.describe_run(_config(faces, **changes), num_ranks=num_ranks)


def test_ranks_are_torchruns_business_in_a_real_run(
    faces: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe(tmp_path / "recipe.yaml", tiny_recipe(faces))
    assert main(["train", str(recipe), "--out", str(tmp_path / "run"), "--ranks", "2"]) == 2
    assert "--ranks is for --dry-run" in capsys.readouterr().err
    assert main(["train", str(recipe), "--dry-run", "--ranks", "2"]) == 0
    assert "on each of 2 rank(s)" in capsys.readouterr().out
