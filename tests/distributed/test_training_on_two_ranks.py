"""Two ranks train as one does: the loss is divided once by the global batch, gradients are summed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from marginface.training.log import read_events
from tests.helpers.runs import log_without_clock, marginface, tiny_recipe, write_recipe
from tests.helpers.synthetic import write_faces

pytestmark = pytest.mark.distributed


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    faces = write_faces(folder / "faces", num_identities=6, images_per_identity=6, size=32)
    return write_recipe(
        folder / "recipe.yaml", tiny_recipe(f"folder:{faces}", epochs=1, checkpoint={"every_epochs": 0.5})
    )


@pytest.mark.slow
def test_two_ranks_equal_one_process_that_accumulates_the_same_halves(recipe: Path) -> None:
    # Each rank normalises by its own half of the batch (BatchNorm is local): one process with two parts is the oracle.
    one, two = recipe.parent / "one", recipe.parent / "two"
    alone = marginface("train", recipe, "--out", one, "--accumulation_steps", "2")
    assert alone.returncode == 0, alone.stderr
    together = marginface("train", recipe, "--out", two, torchrun=2)
    assert together.returncode == 0, together.stderr
    steps_one, steps_two = (read_events(out / "log.jsonl", "step") for out in (one, two))
    assert len(steps_one) == len(steps_two) == 6
    for name in ("loss", "grad_norm", "mean_norm", "mean_target_cos", "lr"):
        torch.testing.assert_close([s[name] for s in steps_two], [s[name] for s in steps_one], rtol=2e-4, atol=1e-5)
    ours, theirs = (load_file(out / "model" / "model.safetensors") for out in (two, one))
    for name, weight in theirs.items():
        if "running" not in name and "num_batches" not in name:  # a rank sees half of the batches' statistics
            torch.testing.assert_close(ours[name], weight, rtol=1e-3, atol=1e-4)


def test_two_ranks_resume_exactly_and_log_once(recipe: Path) -> None:
    unbroken, broken = recipe.parent / "unbroken", recipe.parent / "broken"
    assert marginface("train", recipe, "--out", unbroken, torchrun=2).returncode == 0
    assert marginface("train", recipe, "--out", broken, torchrun=2).returncode == 0
    for folder in (broken / "checkpoints").glob("step-00000006"):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    resumed = marginface("train", recipe, "--out", broken, "--resume", torchrun=2)
    assert resumed.returncode == 0, resumed.stderr
    assert log_without_clock(broken) == log_without_clock(unbroken)


def test_a_refusal_on_two_ranks_is_one_sentence_and_an_exit(recipe: Path) -> None:
    refused = marginface("train", recipe, "--out", recipe.parent / "faces", torchrun=2)
    assert refused.returncode != 0
    assert "this is not an empty folder; choose another --out" in refused.stderr
