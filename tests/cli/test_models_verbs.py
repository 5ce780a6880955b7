"""models import, list and probe, as typed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from marginface.cli.main import main
from marginface.evaluation.contract_probe import CONTRACTS
from marginface.models import load_model
from tests.helpers.synthetic import write_faces
from tests.models.published import CASES


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.save(CASES["insightface mbf"].make(), tmp_path / "model.pt")
    return tmp_path / "model.pt"


def test_import_writes_a_model_and_says_what_it_is(weights, tmp_path, capsys):
    out = tmp_path / "models" / "mbf"
    assert main(["models", "import", str(weights), "--as", "mbf", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "mobilefacenet_045g, 16 values, recognised as insightface" in said
    assert "input: rgb, minus_one_to_one, 32 pixels a side" in said
    assert load_model(out).name == "mbf"


def test_import_goes_to_models_by_default(weights, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["models", "import", "model.pt"]) == 0
    assert main(["models", "list"]) == 0
    said = capsys.readouterr().out
    assert "models/insightface-mobilefacenet_045g  NON-COMMERCIAL" in said


def test_a_head_is_written_and_said(tmp_path, capsys):
    torch.save(CASES["adaface"].make(), tmp_path / "a.ckpt")
    assert main(["models", "import", str(tmp_path / "a.ckpt"), "--out", str(tmp_path / "m")]) == 0
    assert "The head has 7 classes; it is kept in head/" in capsys.readouterr().out
    assert (tmp_path / "m" / "head" / "head.safetensors").is_file()


def test_a_contract_that_is_not_told_is_asked_for(tmp_path, capsys):
    torch.save(CASES["tface"].make(), tmp_path / "a.pth")
    assert main(["models", "import", str(tmp_path / "a.pth"), "--out", str(tmp_path / "m")]) == 2
    assert "Give --colour-order" in capsys.readouterr().err
    words = ["--colour-order", "rgb", "--value-range", "minus_one_to_one"]
    assert main(["models", "import", str(tmp_path / "a.pth"), "--out", str(tmp_path / "m"), *words]) == 0


def test_list_names_what_cannot_be_read(weights, tmp_path, capsys):
    for name in ("good", "bad"):
        main(["models", "import", str(weights), "--out", str(tmp_path / "models" / name)])
    (tmp_path / "models" / "bad" / "model.json").write_text("{")
    capsys.readouterr()
    assert main(["models", "list", str(tmp_path / "models"), str(tmp_path / "models" / "good")]) == 0
    said = capsys.readouterr().out
    assert said.count("NON-COMMERCIAL") == 2
    assert "CANNOT BE READ" in said


@pytest.mark.parametrize("made, told", [(True, "there is no model in"), (False, "there is no such folder")])
def test_list_without_models(made, told, tmp_path, capsys):
    if made:
        (tmp_path / "models").mkdir()
    assert main(["models", "list", str(tmp_path / "models")]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["file", "file without contract", "folder"])
def test_probe_prints_every_contract(kind, weights, tmp_path, capsys):
    faces = write_faces(tmp_path / "faces", num_identities=3, images_per_identity=3, size=32)
    subject = weights
    if kind == "file without contract":
        torch.save(CASES["tface"].make(), weights)
    elif kind == "folder":
        subject = tmp_path / "m"
        main(["models", "import", str(weights), "--out", str(subject)])
    assert main(["models", "probe", str(subject), "--data", f"folder:{faces}"]) == 0
    said = capsys.readouterr().out
    rows = [line.split("│")[1:3] for line in said.splitlines() if line.startswith("│")]
    printed = {(order.strip(" *"), values.strip()) for order, values in rows}
    assert printed - {("", "")} == set(CONTRACTS)  # an interval may take a second line
    assert "best: --colour-order" in said
    assert ("rgb *" in said) == (kind != "file without contract")
