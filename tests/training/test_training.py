"""One run in this process: what a step does, what a run leaves, what resuming repeats."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from marginface import config as recipes
from marginface.distributed import Ranks
from marginface.errors import InputError
from marginface.models import load_model
from marginface.training import checkpoint as checkpoints
from marginface.training import loop
from marginface.training.config import TrainConfig
from marginface.training.log import read_events
from marginface.training.step import learning_rate, train_step
from marginface.training.train import prepare, train
from tests.helpers.plain_backbone import KIND
from tests.helpers.runs import log_without_clock, tiny_recipe
from tests.helpers.synthetic import write_faces, write_tar

PLAIN = {"kind": KIND, "embedding_dim": 16}


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("training")
    return f"folder:{write_faces(folder / 'faces', num_identities=6, images_per_identity=6, size=32)}"


def _config(faces: str, **changes: Any) -> TrainConfig:
    return recipes.load(TrainConfig, tiny_recipe(faces, **changes))


def _weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


def test_a_batch_in_parts_moves_the_weights_as_the_whole_batch_does(faces: str, tmp_path: Path) -> None:
    for parts in (1, 4):  # 10 images in 4 parts: 2, 3, 3, 2, which only correct weights survive
        config = _config(
            faces, backbone=PLAIN, data={"source": faces, "input_size": 32, "batch_size": 10, "num_workers": 0}
        )
        config = recipes.load(TrainConfig, recipes.dump(config) | {"accumulation_steps": parts})
        assert train(config, tmp_path / str(parts)) == 0
    whole, cut = (read_events(tmp_path / str(parts) / "log.jsonl", "step") for parts in (1, 4))
    for name in ("loss", "grad_norm", "mean_norm", "mean_target_cos"):
        torch.testing.assert_close([s[name] for s in cut], [s[name] for s in whole], rtol=1e-4, atol=1e-6)
    for name, weight in _weights(tmp_path / "1").items():
        torch.testing.assert_close(_weights(tmp_path / "4")[name], weight, rtol=1e-4, atol=1e-5)


def test_clipping_bounds_the_gradient_and_the_log_keeps_its_length(faces: str, tmp_path: Path) -> None:
    config = _config(
        faces, backbone=PLAIN, clip_norm=0.001, optim={"kind": "sgd", "lr": 1.0, "weight_decay": 0, "momentum": 0}
    )
    run = prepare(config, Ranks(0, 1, torch.device("cpu")))
    before = torch.cat([p.detach().flatten().clone() for p in run.task.parameters()])
    assert train(config, tmp_path / "run") == 0
    model = load_model(tmp_path / "run" / "model")
    moved = torch.cat([p.detach().flatten() for p in model.backbone.parameters()]) - before[: _size(model.backbone)]
    assert moved.norm() <= 0.001 * run.total_steps * 1.001, "lr is at most 1, so a step is at most clip_norm long"
    assert all(e["grad_norm"] > 0.1 for e in read_events(tmp_path / "run" / "log.jsonl", "step"))


def _size(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_resume_repeats_dropout(faces: str, tmp_path: Path) -> None:
    changes = {"backbone": PLAIN | {"dropout": 0.5}, "epochs": 2, "checkpoint": {"every_epochs": 0.5, "keep": 9}}
    config = _config(faces, **changes)
    for name in ("unbroken", "broken"):
        assert train(config, tmp_path / name) == 0
    steps = checkpoints.list_steps(tmp_path / "broken" / "checkpoints")
    for step in steps[1:]:
        checkpoints.path_of(tmp_path / "broken" / "checkpoints", step).rename(tmp_path / f"gone-{step}")
    torch.manual_seed(1234)  # whatever the ambient stream does
    assert train(config, tmp_path / "broken", resume=True) == 0
    assert log_without_clock(tmp_path / "broken") == log_without_clock(tmp_path / "unbroken")


def test_resuming_on_changed_data_is_refused(tmp_path: Path) -> None:
    folder = write_faces(tmp_path / "faces", num_identities=4, images_per_identity=6, size=32)
    config = _config(f"folder:{folder}", backbone=PLAIN, epochs=1)
    assert train(config, tmp_path / "run") == 0
    (folder / "person_00" / "0000.jpg").rename(folder / "person_00" / "zzzz.jpg")
    with pytest.raises(InputError, match="has changed since the checkpoint was written"):
        train(config, tmp_path / "run", resume=True)


def test_resuming_a_finished_run_changes_nothing_and_mends_its_model(faces: str, tmp_path: Path) -> None:
    config = _config(faces, backbone=PLAIN, epochs=1)
    assert train(config, tmp_path / "run") == 0
    before, weights = (tmp_path / "run" / "log.jsonl").read_bytes(), _weights(tmp_path / "run")
    (tmp_path / "run" / "model").rename(tmp_path / "gone")  # as a kill between checkpoint and model would leave it
    assert train(config, tmp_path / "run", resume=True) == 0
    assert (tmp_path / "run" / "log.jsonl").read_bytes() == before
    assert all(torch.equal(_weights(tmp_path / "run")[name], weights[name]) for name in weights)


def test_averaged_weights_are_what_is_written(faces: str, tmp_path: Path) -> None:
    for name, ema in (("plain", None), ("averaged", {"decay": 0.9, "warm_up": False})):
        assert train(_config(faces, backbone=PLAIN, ema=ema, epochs=1), tmp_path / name) == 0
    plain, averaged = _weights(tmp_path / "plain"), _weights(tmp_path / "averaged")
    assert any(not torch.equal(plain[name], averaged[name]) for name in plain)
    # training itself is the same
    logs = [log_without_clock(tmp_path / name) for name in ("plain", "averaged")]
    assert logs[0] == logs[1]


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_half_precision_runs_when_forced_and_the_scalers_state_is_kept(faces: str, tmp_path: Path, dtype: str) -> None:
    precision = {"dtype": dtype, "force": True}
    config = _config(faces, backbone=PLAIN, precision=precision, epochs=1, checkpoint={"every_epochs": 0.5, "keep": 9})
    assert train(config, tmp_path / "run") == 0
    losses = [e["loss"] for e in read_events(tmp_path / "run" / "log.jsonl", "step")]
    assert all(0 < loss < 30 for loss in losses)
    before = log_without_clock(tmp_path / "run")
    for step in checkpoints.list_steps(tmp_path / "run" / "checkpoints")[1:]:
        checkpoints.path_of(tmp_path / "run" / "checkpoints", step).rename(tmp_path / f"gone-{step}")
    assert train(config, tmp_path / "run", resume=True) == 0
    assert log_without_clock(tmp_path / "run") == before


def test_the_learning_rate_warms_up_from_zero_and_is_logged_as_applied(faces: str, tmp_path: Path) -> None:
    config = _config(faces, backbone=PLAIN)
    run = prepare(config, Ranks(0, 1, torch.device("cpu")))
    rates = [learning_rate(run, step) for step in range(run.total_steps)]
    assert 0 < rates[0] < config.optim.lr
    assert max(rates) == pytest.approx(config.optim.lr)
    assert rates[-1] < 0.1 * config.optim.lr
    assert train(config, tmp_path / "run") == 0
    assert [e["lr"] for e in read_events(tmp_path / "run" / "log.jsonl", "step")] == rates


def test_an_evaluation_that_a_stop_left_out_is_made_up_for(
    faces: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strangers = write_tar(tmp_path / "strangers.tar", num_identities=12, images_per_identity=4, size=32, seed=3)
    evaluation = {"name": "s", "data": f"tar:{strangers}", "protocol": {"kind": "generated"}, "num_replicates": 0}
    config = _config(faces, backbone=PLAIN, evaluations=[evaluation], epochs=2)
    assert train(config, tmp_path / "unbroken") == 0

    def step_then_signal(run: Any, batch: Any, step: int, **more: Any) -> Any:
        numbers = train_step(run, batch, step, **more)
        if step + 1 == run.batches.steps_per_epoch:
            os.kill(os.getpid(), signal.SIGTERM)
        return numbers

    monkeypatch.setattr(loop, "train_step", step_then_signal)
    assert train(config, tmp_path / "stopped") == 128 + signal.SIGTERM
    monkeypatch.undo()
    assert not read_events(tmp_path / "stopped" / "log.jsonl", "evaluation")
    assert train(config, tmp_path / "stopped", resume=True) == 0
    assert log_without_clock(tmp_path / "stopped") == log_without_clock(tmp_path / "unbroken")


def test_best_is_the_model_of_the_best_evaluation(faces: str, tmp_path: Path) -> None:
    strangers = write_tar(tmp_path / "strangers.tar", num_identities=12, images_per_identity=4, size=32, seed=3)
    evaluation = {"name": "s", "data": f"tar:{strangers}", "protocol": {"kind": "generated"}, "num_replicates": 0}
    config = _config(faces, backbone=PLAIN, evaluations=[evaluation], checkpoint={"every_epochs": 1, "keep": 1})
    assert train(config, tmp_path / "run") == 0
    events = read_events(tmp_path / "run" / "log.jsonl", "evaluation")
    best = min(events, key=lambda e: (e["eer"], e["step"]))
    assert checkpoints.list_steps(tmp_path / "run" / "checkpoints")[0] == best["step"]
    assert load_model(tmp_path / "run" / "best").fingerprint


def test_tensorboard_has_the_curves(faces: str, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = _config(faces, backbone=PLAIN, epochs=1, log={"every_steps": 2, "tensorboard": True})
    assert train(config, tmp_path / "run") == 0
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    logged = read_events(tmp_path / "run" / "log.jsonl", "step")
    points = events.Scalars("train/loss")
    assert [p.step for p in points] == [e["step"] for e in logged]
    assert [p.value for p in points] == pytest.approx([e["loss"] for e in logged], rel=1e-6)


def test_the_model_on_disk_embeds_as_the_run_did(faces: str, tmp_path: Path) -> None:
    assert train(_config(faces), tmp_path / "run", command="marginface train x") == 0
    model = load_model(tmp_path / "run" / "model")
    assert model.name == "run"
    assert "36 images of 6 people" in model.card.training_data
    assert model.card.provenance.command == "marginface train x"
    assert recipes.load(TrainConfig, recipes.read_recipe(tmp_path / "run" / "recipe.yaml")) == _config(faces)
