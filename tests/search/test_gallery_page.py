"""Every block of Python in `docs/gallery.md` runs, top to bottom, and its numbers hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from marginface.images.normalize import InputContract
from marginface.models import FaceModel, ModelCard
from marginface.search.operating_point import fpir_of
from tests.helpers.plain_backbone import PlainBackboneConfig
from tests.search.made_up import THRESHOLDS, faces_of

PAGE = (Path(__file__).parents[2] / "docs" / "gallery.md").read_text(encoding="utf-8")


def test_the_pages_code_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("faiss")
    monkeypatch.chdir(tmp_path)
    config = PlainBackboneConfig(embedding_dim=32)
    card = ModelCard(name="toy", thresholds=THRESHOLDS)
    model = FaceModel(config.build(input_size=32), config, InputContract(input_size=32), card)
    names = {"model": model, "ada": faces_of(1, 3), "bob": faces_of(2, 2), "nobody": faces_of(3)[0]}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) >= 5
    for block in blocks:
        exec(compile(block, "docs/gallery.md", "exec"), names)
    said = capsys.readouterr().out
    assert said.startswith("Ada True\nNone\nthreshold 0.7000: FMR 0.0001")
    assert "'Eve' was not enrolled: these images look like 'Ada'" in said
    assert "2 images erased" in said


def test_the_pages_rates_are_those_of_the_formula() -> None:
    assert "0.1 % among 10 people, 1 % among 100 and 63 % among 10,000" in PAGE
    assert [round(100 * fpir_of(1e-4, n), 1) for n in (10, 100, 10_000)] == [0.1, 1.0, 63.2]
