"""A rank that dies ends the run with a sentence, and the run goes on from its last checkpoint as if it had not."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psutil
import pytest
from safetensors.torch import load_file

from marginface.training import checkpoint as checkpoints
from tests.helpers.plain_backbone import KIND
from tests.helpers.runs import log_without_clock, marginface, start_marginface, tiny_recipe, write_recipe
from tests.helpers.synthetic import write_faces

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

EPOCHS = 20


def _process_of_rank(launcher: int, rank: int) -> psutil.Process:
    for child in psutil.Process(launcher).children(recursive=True):
        if child.environ().get("RANK") == str(rank):
            return child
    raise AssertionError(f"rank {rank} is not running")


def test_killing_a_rank_ends_all_in_words_and_resuming_repeats_the_unbroken_run(tmp_path: Path) -> None:
    faces = write_faces(tmp_path / "faces", num_identities=6, images_per_identity=6, size=32)
    backbone = {"kind": KIND, "embedding_dim": 16, "num_blocks": 1, "batch_norm": True}
    changes = {"backbone": backbone, "epochs": EPOCHS, "checkpoint": {"every_epochs": 1, "keep": 2}}
    recipe = write_recipe(tmp_path / "recipe.yaml", tiny_recipe(f"folder:{faces}", **changes))
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    assert marginface("train", recipe, "--out", unbroken, torchrun=2).returncode == 0
    launcher = start_marginface("train", recipe, "--out", broken, torchrun=2)
    while launcher.poll() is None and len(checkpoints.list_steps(broken / "checkpoints")) < 2:
        time.sleep(0.01)
    _process_of_rank(launcher.pid, 1).send_signal(signal.SIGKILL)
    killed_at = time.monotonic()
    _, err = launcher.communicate(timeout=60)
    assert launcher.returncode != 0
    assert time.monotonic() - killed_at < 45, "nobody waits for the dead"
    assert "marginface: rank 0 of 2 stopped because another rank ended" in err
    assert "start again with --resume" in err
    reached = checkpoints.latest_step(broken / "checkpoints")
    assert reached is not None
    assert reached < EPOCHS * 6, "it was killed on the way"
    resumed = marginface("train", recipe, "--out", broken, "--resume", torchrun=2)
    assert resumed.returncode == 0, resumed.stderr
    assert log_without_clock(broken) == log_without_clock(unbroken)
    ours, theirs = (load_file(out / "model" / "model.safetensors") for out in (broken, unbroken))
    assert all((ours[name] == theirs[name]).all() for name in theirs), "running statistics are the first rank's"
