"""AdaFace's statistics may start from a first pass over the batches that training begins with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from marginface import config as recipes
from marginface.distributed import Ranks
from marginface.errors import InputError
from marginface.images.normalize import normalize
from marginface.loading.loader import training_batches
from marginface.training import loop
from marginface.training.config import TrainConfig
from marginface.training.train import prepare, train
from marginface.training.warm_start import warm_start
from tests.helpers.plain_backbone import KIND
from tests.helpers.runs import log_without_clock, tiny_recipe
from tests.helpers.synthetic import write_faces

ALONE = Ranks(0, 1, torch.device("cpu"))
ADAFACE = {"kind": "dense", "scale": 16, "margin": {"kind": "adaface"}}


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("warm")
    return f"folder:{write_faces(folder / 'faces', num_identities=6, images_per_identity=6, size=32)}"


def _config(faces: str, **changes: Any) -> TrainConfig:
    changes = {"backbone": {"kind": KIND, "num_blocks": 1, "batch_norm": True}, "head": ADAFACE} | changes
    return recipes.load(TrainConfig, tiny_recipe(faces, **changes))


def test_statistics_are_those_of_the_first_batches_norms_and_nothing_else_moves(faces: str) -> None:
    run = prepare(_config(faces, norm_warm_start_images=10), ALONE)  # 6 images a step: two batches
    before = {name: tensor.clone() for name, tensor in run.task.state_dict().items()}
    batches = training_batches(run.dataset, run.batches, first_step=0, num_steps=2, num_workers=0)
    backbone = run.config.backbone.build(input_size=32, seed=run.config.seed)
    norms = torch.cat([backbone(normalize(b.images, run.contract)).norm(dim=1) for b in batches]).detach()
    assert len(norms) == 12
    warm_start(run)
    after = run.task.state_dict()
    torch.testing.assert_close(after["head.margin.batch_mean"], norms.clamp(1e-3, 100).mean(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(after["head.margin.batch_std"], norms.clamp(1e-3, 100).std(), rtol=1e-3, atol=1e-5)
    assert all(torch.equal(after[name], before[name]) for name in before if "margin" not in name)


def test_only_a_new_run_has_a_first_pass(faces: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = _config(faces, norm_warm_start_images=12, epochs=1)
    calls: list[int] = []
    monkeypatch.setattr(loop, "warm_start", lambda run: (calls.append(run.progress.step), warm_start(run)))
    assert train(config, tmp_path / "run") == 0
    before = log_without_clock(tmp_path / "run")
    assert train(config, tmp_path / "run", resume=True) == 0
    assert calls == [0]
    assert log_without_clock(tmp_path / "run") == before


def test_a_margin_without_statistics_refuses_it(faces: str) -> None:
    config = _config(faces, norm_warm_start_images=12, head={"kind": "dense", "margin": {"kind": "arcface"}})
    with pytest.raises(InputError, match="norm_warm_start_images: arcface keeps no statistics of norms"):
        prepare(config, ALONE)
    with pytest.raises(InputError, match="norm_warm_start_images is -1"):
        _config(faces, norm_warm_start_images=-1)
