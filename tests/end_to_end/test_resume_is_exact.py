"""Killed at any moment, a resumed run ends as if nothing had happened: same log, same weights, bit by bit."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.helpers.runs import log_without_clock, marginface, start_marginface, tiny_recipe, write_recipe
from tests.helpers.synthetic import write_faces


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume")
    faces = write_faces(folder / "faces", num_identities=6, images_per_identity=6, size=32)
    # dropout-free, but with everything else that has a state: momentum, warm-up, averages, accumulation, clipping
    changes = {"ema": {"decay": 0.9}, "accumulation_steps": 2, "clip_norm": 5.0, "epochs": 5}
    return write_recipe(folder / "recipe.yaml", tiny_recipe(f"folder:{faces}", **changes))


@pytest.fixture(scope="module")
def unbroken(recipe: Path) -> Path:
    out = recipe.parent / "unbroken"
    done = marginface("train", recipe, "--out", out)
    assert done.returncode == 0, done.stderr
    return out


def _same_end(run: Path, unbroken: Path) -> None:
    assert log_without_clock(run) == log_without_clock(unbroken)
    ours, theirs = (load_file(folder / "model" / "model.safetensors") for folder in (run, unbroken))
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name]).all() for name in theirs)


def test_killed_at_a_random_moment_and_resumed_it_is_bitwise_the_same(recipe: Path, unbroken: Path) -> None:
    out = recipe.parent / "killed"
    moment = random.Random(time.time_ns())
    lines = moment.randint(4, 25)
    process = start_marginface("train", recipe, "--out", out)
    log = out / "log.jsonl"
    while process.poll() is None and not (log.exists() and log.read_bytes().count(b"\n") >= lines):
        time.sleep(0.005)
    time.sleep(moment.random() * 0.1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    resumed = marginface("train", recipe, "--out", out, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    _same_end(out, unbroken)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_ctrl_c_and_sigterm_write_a_checkpoint_and_say_how_to_go_on(recipe: Path, unbroken: Path, number: int) -> None:
    out = recipe.parent / f"stopped-{number}"
    process = start_marginface("train", recipe, "--out", out, "--checkpoint.every_epochs", "0")
    log = out / "log.jsonl"
    while process.poll() is None and not (log.exists() and log.read_bytes().count(b"\n") >= 5):
        time.sleep(0.005)
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == 128 + number, err
    assert "go on with --resume" in err
    assert "Traceback" not in err
    assert len(list((out / "checkpoints").glob("step-*"))) == 1
    resumed = marginface("train", recipe, "--out", out, "--resume", "--checkpoint.every_epochs", "0")
    assert resumed.returncode == 0, resumed.stderr
    _same_end(out, unbroken)


def test_the_number_of_workers_changes_nothing(recipe: Path, unbroken: Path) -> None:
    out = recipe.parent / "workers"
    done = marginface("train", recipe, "--out", out, "--data.num_workers", "2")
    assert done.returncode == 0, done.stderr
    _same_end(out, unbroken)


def test_resuming_with_another_setting_is_refused_by_name(recipe: Path, unbroken: Path) -> None:
    refused = marginface("train", recipe, "--out", unbroken, "--resume", "--optim.lr", "0.2")
    assert refused.returncode == 2
    assert "optim.lr was 0.05, now 0.2" in refused.stderr


def test_a_run_folder_that_exists_is_refused(recipe: Path, unbroken: Path) -> None:
    refused = marginface("train", recipe, "--out", unbroken)
    assert refused.returncode == 2
    assert "this folder holds a run already; --resume goes on with it" in refused.stderr
