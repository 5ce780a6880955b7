"""What users get wrong ends in one clear sentence and exit code 2 (1 where the work failed), and loses nothing."""

from __future__ import annotations

import errno
from pathlib import Path

import cv2
import numpy as np
import pytest

from marginface.cli.main import main
from tests.helpers.runs import tiny_recipe, write_recipe
from tests.helpers.synthetic import write_faces


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    return write_faces(tmp_path / "faces", num_identities=3, images_per_identity=4, size=32)


def _train(source: str, tmp_path: Path, *more: str, **changes: object) -> int:
    recipe = write_recipe(tmp_path / "recipe.yaml", tiny_recipe(source, epochs=1, **changes))
    return main(["train", str(recipe), "--out", str(tmp_path / "run"), *more])


def _one_sentence(capsys: pytest.CaptureFixture[str]) -> str:
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("marginface: ")
    assert "Traceback" not in last
    return last


def test_an_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert _train(f"folder:{tmp_path / 'empty'}", tmp_path) == 2
    assert str(tmp_path / "empty") in _one_sentence(capsys)


def test_a_missing_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _train(f"folder:{tmp_path / 'nowhere'}", tmp_path) == 2
    assert "nowhere" in _one_sentence(capsys)


def test_one_identity(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_faces(tmp_path / "one", num_identities=1, images_per_identity=8, size=32)
    assert _train(f"folder:{tmp_path / 'one'}", tmp_path) == 2
    assert "at least" in _one_sentence(capsys)


@pytest.mark.parametrize("harm", ["text", "truncated", "huge"])
def test_a_broken_image_is_named_and_skipped_only_when_allowed(
    faces: Path,
    tmp_path: Path,
    harm: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    victim = faces / "person_01" / "0002.jpg"
    if harm == "text":
        victim.write_text("this is not a picture")
    elif harm == "truncated":
        victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    else:
        cv2.imwrite(str(victim), np.zeros((3000, 3000, 3), np.uint8))
    assert _train(f"folder:{faces}", tmp_path) == 2
    sentence = _one_sentence(capsys)
    assert "person_01/0002.jpg" in sentence
    assert "skip_broken" in sentence
    (tmp_path / "run").rename(tmp_path / "refused")
    assert _train(f"folder:{faces}", tmp_path, "--data.skip_broken", "true") == 0
    assert "person_01/0002.jpg" in caplog.text


def test_a_list_with_a_missing_path(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "list.txt").write_text("faces/person_00/0000.jpg 0 0 0\nfaces/person_00/9999.jpg 0 1 0\n")
    assert _train(f"list:{tmp_path / 'list.txt'}", tmp_path) == 2
    sentence = _one_sentence(capsys)
    assert "list.txt" in sentence
    assert "9999.jpg" in sentence


def test_a_label_out_of_range(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "list.txt").write_text("faces/person_00/0000.jpg 0 0 0\nfaces/person_01/0000.jpg 0 -3 0\n")
    assert _train(f"list:{tmp_path / 'list.txt'}", tmp_path) == 2
    assert "-3" in _one_sentence(capsys)


def test_an_unknown_key_in_a_recipe(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _train(f"folder:{faces}", tmp_path, "--optim.learning_rate", "0.1") == 2
    assert "optim.learning_rate: there is no such setting" in _one_sentence(capsys)
    assert not (tmp_path / "run").exists(), "a refused run leaves no folder"


def test_a_run_folder_that_exists(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("precious")
    assert _train(f"folder:{faces}", tmp_path) == 2
    assert "not an empty folder" in _one_sentence(capsys)
    assert (tmp_path / "run" / "mine.txt").read_text() == "precious"


def test_a_full_disk_while_a_checkpoint_is_written(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from marginface.training import checkpoint

    honest = checkpoint.dcp.save
    saved = []

    def fills_up(*args: object, **kwargs: object) -> None:
        if saved:
            raise OSError(errno.ENOSPC, "No space left on device")
        saved.append(honest(*args, **kwargs))

    monkeypatch.setattr(checkpoint.dcp, "save", fills_up)
    assert _train(f"folder:{faces}", tmp_path, checkpoint={"every_epochs": 0.5}) == 1
    sentence = _one_sentence(capsys)
    assert "No space left on device" in sentence
    assert "the checkpoint of step 1 is intact" in sentence
    monkeypatch.undo()
    assert _train(f"folder:{faces}", tmp_path, "--resume", checkpoint={"every_epochs": 0.5}) == 0


def test_bf16_on_a_processor_without_units(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from marginface.training import precision

    monkeypatch.setattr(precision, "has_units", lambda dtype, device: False)
    assert _train(f"folder:{faces}", tmp_path, "--precision.dtype", "bf16") == 2
    assert "ten times slower" in _one_sentence(capsys)


def test_a_batch_larger_than_the_set(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _train(f"folder:{faces}", tmp_path, "--data.batch_size", "64") == 2
    assert "64" in _one_sentence(capsys)


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["trian"], "did you mean 'train'"),
        (["data"], "say which: data describe, data"),
        (["train", "casia_mobilefacenet_arcfac", "--out", "x"], "did you mean 'casia_mobilefacenet_arcface'"),
        (["evaluate", "nowhere", "--data", "folder:nowhere"], "nowhere does not exist; expected FOLDER"),
        (["evaluate", "raw-pixels", "--data", "folder:x", "--protocol", "lfw"], "say where it is with --pairs"),
        (["config", "show", "demo", "--epochs", "0"], "epochs is 0.0; give more than 0."),
    ],
)
def test_words_that_lead_nowhere(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert sentence in _one_sentence(capsys)


def test_a_report_that_cannot_be_written(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("a file stands where the folder should be")
    words = ["evaluate", "raw-pixels", "--data", f"folder:{faces}", "--replicates", "0", "--workers", "0"]
    assert main([*words, "--out", str(tmp_path / "taken")]) == 1
    assert "the report cannot be written" in _one_sentence(capsys)


def test_a_loss_that_is_not_finite_names_step_and_keeps_the_batch(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _train(f"folder:{faces}", tmp_path, "--optim.lr", "1e30", "--schedule.warmup_epochs", "0") == 1
    sentence = _one_sentence(capsys)
    assert "is not finite" in sentence
    kept = list((tmp_path / "run").glob("not-finite-step-*.pt"))
    assert len(kept) == 1
    assert str(kept[0]) in sentence
