"""The example on faces runs, and its best faces come first."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from marginface.models import save_model
from tests.helpers.photographs import FramedFaces, colours, write_photograph

EXAMPLE = Path(__file__).parents[2] / "examples" / "compare_faces.py"


def test_it_prints_faces_by_quality_with_their_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MARGINFACE_DETECTOR", "frames")
    monkeypatch.setattr("marginface.recognition.defaults.detector_from", lambda path: FramedFaces())
    save_model(colours(), tmp_path / "model")
    write_photograph(tmp_path / "photos" / "a.png", [(0, 10, 10, 112), (1, 150, 20, 90)])
    write_photograph(tmp_path / "photos" / "b.png", [])
    runpy.run_path(str(EXAMPLE))["main"](str(tmp_path / "model"), str(tmp_path / "photos"))
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "b.png: no face"
    assert {line.split()[0] for line in lines} == {"a.png", "a.png#2"}
    qualities = [float(line.split()[2]) for line in lines]
    assert qualities == sorted(qualities, reverse=True)
    assert lines[1].endswith(" 1.000")
