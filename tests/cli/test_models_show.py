"""`models show`: all backbones, one of them, or a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from marginface.backbones import BACKBONES, MobileFaceNetConfig
from marginface.cli.main import main
from marginface.images.normalize import InputContract
from marginface.models import FaceModel, ModelCard, save_model


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.replace("│", " ").replace("┃", " ").split())


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def test_all_backbones(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in set(BACKBONES) - {"iresnet18", "vit_t"}:
        monkeypatch.delitem(BACKBONES, kind)
    assert main(["models", "show"]) == 0
    text = shown(capsys)
    assert "iresnet18 24,025,600 2,610.0 187 512 vit_t 19,137,792 1,504.9 150 512" in text
    assert "a count of floating-point operations proper is twice as high" in text


def test_one_backbone_stage_by_stage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", "ir50", "--input-size", "64"]) == 0
    text = shown(capsys)
    assert "ir50, images of 64 x 64 pixels to 512 values" in text
    assert "in 467 state-dict keys" in text
    assert "body.7-20 14 x IrBlock 256 x 8 x 8" in text


def test_a_model_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = MobileFaceNetConfig(embedding_dim=64)
    contract = InputContract(input_size=32, colour_order="bgr")
    card = ModelCard(name="ours", licence="for research only")
    model = FaceModel(config.build(input_size=32), config, contract, card)
    save_model(model, tmp_path / "model")
    assert main(["models", "show", str(tmp_path)]) == 0  # as a run folder
    text = shown(capsys)
    for word in (
        "ours",
        "for research only",
        model.fingerprint,
        "bgr, minus_one_to_one",
        "32 x 32 pixels to 64 values",
    ):
        assert word in text


def test_what_is_neither_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", "irr50"]) == 2
    assert "neither a folder nor a backbone; did you mean 'ir50'?" in capsys.readouterr().err
