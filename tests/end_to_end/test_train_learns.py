"""Training learns: each margin lowers the EER on drawn people who were not in training, within a minute."""

from __future__ import annotations

from pathlib import Path

import pytest

from marginface import config as recipes
from marginface.drawn import DrawnPeople, write_tar
from marginface.evaluation.baselines import untrained
from marginface.evaluation.run import evaluate
from marginface.evaluation.settings import EvaluationConfig
from marginface.images.normalize import InputContract
from marginface.margins import MARGINS
from marginface.models import load_model
from marginface.protocols import GeneratedConfig
from marginface.training.config import TrainConfig
from marginface.training.train import train
from tests.helpers.runs import tiny_recipe

SIZE = 32
SCALES = {"softmax": 1, "circle": 64, "adacos": "auto"}  # the others learn from few people at 16


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("people")
    known = DrawnPeople(48, 10, seed=1, size=SIZE, difficulty=0.7)
    strangers = DrawnPeople(30, 6, seed=1, size=SIZE, difficulty=0.7, first_person=48)
    return write_tar(known, folder / "known.tar"), write_tar(strangers, folder / "strangers.tar")


@pytest.mark.parametrize(
    "margin", [pytest.param(kind, marks=() if kind == "arcface" else pytest.mark.slow) for kind in MARGINS]
)
def test_training_lowers_the_eer_on_strangers(sets: tuple[Path, Path], margin: str, tmp_path: Path) -> None:
    known, strangers = sets
    recipe = tiny_recipe(
        f"tar:{known}",
        data={"source": f"tar:{known}", "input_size": SIZE, "batch_size": 32, "num_workers": 0},
        backbone={"kind": "mobilefacenet", "embedding_dim": 64},
        head={"kind": "dense", "scale": SCALES.get(margin, 16), "margin": {"kind": margin}},
        optim={"kind": "sgd", "lr": 0.1},
        epochs=8,
        clip_norm=5.0,
        checkpoint={"every_epochs": 0},
    )
    config = recipes.load(TrainConfig, recipe)
    assert train(config, tmp_path / "run") == 0
    judged = EvaluationConfig(name="strangers", data=f"tar:{strangers}", protocol=GeneratedConfig(), num_replicates=0)
    start = untrained(config.backbone, contract=InputContract(input_size=SIZE), seed=config.seed)
    before, after = (
        evaluate(model, judged).summary.equal_error_rate.value
        for model in (start, load_model(tmp_path / "run" / "model"))
    )
    assert before > 0.2, "the task is not given away by the pixels"
    assert after < 0.7 * before
