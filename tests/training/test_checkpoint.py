"""Checkpoints are whole or absent, and a damaged one says what to do."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch

from marginface.errors import InputError, WorkError
from marginface.training import checkpoint as checkpoints


def _state(value: float) -> dict:
    return {"weights": {"w": torch.full((3, 2), value)}, "progress": {"step": int(value), "note": "x"}, "empty": {}}


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    checkpoints.save_checkpoint(_state(7.0), tmp_path, step=7)
    loaded = checkpoints.load_checkpoint(_state(0.0), checkpoints.path_of(tmp_path, 7))
    assert torch.equal(loaded["weights"]["w"], torch.full((3, 2), 7.0))
    assert loaded["progress"] == {"step": 7, "note": "x"}


def test_a_full_disk_leaves_the_earlier_checkpoint_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints.save_checkpoint(_state(1.0), tmp_path, step=1)

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints.dcp, "save", full)
    with pytest.raises(WorkError, match="No space left on device.*the checkpoint of step 1 is intact.*--resume"):
        checkpoints.save_checkpoint(_state(2.0), tmp_path, step=2)
    monkeypatch.undo()
    assert checkpoints.list_steps(tmp_path) == [1]
    assert not list(tmp_path.glob(".step-*")), "nothing half-written stays"
    assert checkpoints.load_checkpoint(_state(0.0), checkpoints.path_of(tmp_path, 1))["progress"]["step"] == 1


def test_a_full_disk_inside_torchs_writer_is_one_sentence_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.distributed.checkpoint import filesystem

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(filesystem, "_write_item", full)
    with pytest.raises(WorkError, match="No space left on device") as error:
        checkpoints.save_checkpoint(_state(2.0), tmp_path, step=2)
    assert "\n" not in str(error.value)


def test_a_killed_writer_leaves_nothing_that_looks_like_a_checkpoint(tmp_path: Path) -> None:
    checkpoints.save_checkpoint(_state(1.0), tmp_path, step=1)
    half = tmp_path / ".step-00000002.writing"
    half.mkdir()
    (half / "__0_0.distcp").write_bytes(b"half")
    (tmp_path / "step-00000003").mkdir()  # no manifest
    assert checkpoints.latest_step(tmp_path) == 1
    checkpoints.remove_old(tmp_path, keep=1, spare=set())
    assert not half.exists()


@pytest.mark.parametrize("harm", ["flip a byte", "cut", "remove"])
def test_a_damaged_file_is_named_with_the_way_out(tmp_path: Path, harm: str) -> None:
    checkpoints.save_checkpoint(_state(1.0), tmp_path, step=1)
    checkpoints.save_checkpoint(_state(2.0), tmp_path, step=2)
    path = next(checkpoints.path_of(tmp_path, 2).glob("*.distcp"))
    content = bytearray(path.read_bytes())
    if harm == "flip a byte":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif harm == "cut":
        path.write_bytes(content[:-5])
    else:
        path.unlink()
    with pytest.raises(InputError, match=rf"{path.name}: .*(damaged|missing).*--resume goes on from step 1"):
        checkpoints.load_checkpoint(_state(0.0), checkpoints.path_of(tmp_path, 2))


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    checkpoints.save_checkpoint(_state(1.0), tmp_path, step=1)
    other = {"weights": {"w": torch.zeros(4, 4)}, "progress": {"step": 0, "note": ""}, "empty": {}}
    with pytest.raises(InputError, match="of another model or head"):
        checkpoints.load_checkpoint(other, checkpoints.path_of(tmp_path, 1))


def test_only_the_newest_and_the_spared_stay(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        checkpoints.save_checkpoint(_state(step), tmp_path, step=step)
    checkpoints.remove_old(tmp_path, keep=2, spare={1})
    assert checkpoints.list_steps(tmp_path) == [1, 3, 4]
