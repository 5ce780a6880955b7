"""The verbs as a user has them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from marginface.cli.arguments import table
from marginface.cli.main import VERBS, main
from marginface.config import recipe_names
from tests.helpers.runs import tiny_recipe, write_recipe
from tests.helpers.synthetic import write_faces, write_tar


def test_help_starts_without_torch() -> None:
    code = "import sys; from marginface.cli.main import main; main(['--help']); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(verb in done.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main([*verb.split(), "--help"])
    assert done.value.code == 0
    assert f"marginface {verb}" in capsys.readouterr().out


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_resolve_and_the_resolved_one_is_a_recipe(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "show", name]) == 0
    resolved = capsys.readouterr().out
    (tmp_path / "again.yaml").write_text(resolved)
    assert main(["config", "show", str(tmp_path / "again.yaml")]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == yaml.safe_load(resolved)


def test_train_evaluate_and_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faces = write_faces(tmp_path / "faces", num_identities=6, images_per_identity=6, size=32)
    strangers = write_tar(tmp_path / "strangers.tar", num_identities=12, images_per_identity=3, size=32, seed=9)
    evaluation = {"name": "strangers", "data": f"tar:{strangers}", "protocol": {"kind": "generated"}}
    recipe = write_recipe(
        tmp_path / "recipe.yaml",
        tiny_recipe(f"folder:{faces}", epochs=2, evaluations=[evaluation | {"num_replicates": 0}]),
    )
    run, out = tmp_path / "run", tmp_path / "report"
    assert main(["train", str(recipe), "--out", str(run)]) == 0
    assert (run / "best" / "model.safetensors").is_file()
    events = [json.loads(line)["event"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert events.count("evaluation") == 2
    assert events[-1] == "end"
    capsys.readouterr()
    words = ["evaluate", str(run), "--data", f"tar:{strangers}", "--replicates", "50", "--baseline", "--out", str(out)]
    assert main([*words, "--workers", "0"]) == 0
    assert "raw pixels" in capsys.readouterr().out
    systems = json.loads((out / "report.json").read_text())["systems"]
    assert [s["counts"]["mated"] for s in systems] == [36, 36]
    assert (out / "report.html").is_file()


def test_dry_run_prints_the_recipe_the_sizes_and_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faces = write_faces(tmp_path / "faces", num_identities=3, images_per_identity=4, size=32)
    recipe = write_recipe(tmp_path / "recipe.yaml", tiny_recipe(f"folder:{faces}"))
    assert main(["train", str(recipe), "--out", str(tmp_path / "run"), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "12 images of 3 people" in said
    assert "6: 3 epochs of 2 steps of 6 images" in said
    assert "memory" in said
    assert not (tmp_path / "run").exists()


def test_data_describe_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_faces(tmp_path / "faces", num_identities=3, images_per_identity=4, size=32)
    (tmp_path / "faces" / "person_00" / "0001.jpg").write_text("no picture")
    assert main(["data", "describe", str(tmp_path / "faces")]) == 0
    said = capsys.readouterr().out
    assert "12" in said
    assert "4 to 4, median 4" in said
    assert "person_00/0001.jpg" in said


def test_doctor_says_what_is_used_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    for word in ("torch", "device", "threads", "precision", "JPEG decoder", "images/s", "extra: tensorboard"):
        assert word in said


def test_brackets_in_a_table_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    Console(width=80).print(
        table([("pip install 'marginface[tensorboard]'", "[2.4, 3.7]")], ("a [b]", "c"), title="[d]")
    )
    said = capsys.readouterr().out
    assert all(text in said for text in ("marginface[tensorboard]", "[2.4, 3.7]", "a [b]", "[d]"))


def test_draw_writes_a_tar_of_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["draw", "--out", str(tmp_path / "drawn.tar"), "--people", "2", "--images", "2", "--size", "32"]
    assert main([*words, "--workers", "1", "--contact-sheet", str(tmp_path / "sheet.png")]) == 0
    assert main(["data", "describe", f"tar:{tmp_path / 'drawn.tar'}"]) == 0
    assert (tmp_path / "sheet.png").stat().st_size > 1000
