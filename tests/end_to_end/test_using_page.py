"""docs/using.md is run: its Python as it stands, its commands with their flags, over painted photographs."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from marginface.cli.main import main
from marginface.models import save_model
from tests.helpers.photographs import FramedFaces, colours, threshold, write_photograph

PAGE = (Path(__file__).parents[2] / "docs" / "using.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the page speaks of, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARGINFACE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MARGINFACE_DETECTOR", "frames")
    monkeypatch.setattr("marginface.recognition.defaults.detector_from", lambda path: FramedFaces())
    save_model(colours(threshold()), tmp_path / "runs" / "demo" / "model")
    monkeypatch.setenv("MARGINFACE_MODEL", str(tmp_path / "runs" / "demo"))
    write_photograph(tmp_path / "group.jpg", [(0, 10, 10, 112), (1, 150, 20, 100)])
    for name, view in (("a.jpg", 0), ("b.jpg", 1)):
        write_photograph(tmp_path / name, [(0, 10, 10, 112)], view=view)
    write_photograph(tmp_path / "known" / "Ada.jpg", [(0, 10, 10, 112)])
    for view in range(3):
        write_photograph(tmp_path / "photos" / "Ada" / f"{view}.jpg", [(0, 20, 10, 112)], view=view)
    return tmp_path


def test_the_python_of_the_page_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)
    assert len(blocks) == 3
    exec("\n".join(blocks), {})
    said = capsys.readouterr().out
    assert said.startswith("2 (2, 108) [")
    assert "same 0.9" in said
    assert "Ada/0.jpg Ada" in said
    assert "{'person-001': 3}" in said
    assert said.endswith("3 {}\n")


def test_the_commands_of_the_page_run(files: Path) -> None:
    lines = [line for block in re.findall(r"```\n(.*?)```", PAGE, flags=re.S) for line in block.splitlines()]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("marginface ")]
    assert [words[0] for words in commands] == ["verify", "find", "find", "cluster", "data", "embed", "embed"]
    for words in commands:
        assert main(words) == 0, words
        shutil.rmtree(files / "embeddings", ignore_errors=True)
    assert {path.name for path in files.glob("faces.tar*")} == {
        "faces.tar",
        "faces.tar.faces.csv",
        "faces.tar.rejects.csv",
    }
