"""Claims about calibration: what is saved, what is refused, and that the card survives."""

from __future__ import annotations

import numpy as np
import pytest

from marginface.backbones import MobileFaceNetConfig
from marginface.cli.main import main
from marginface.drawn import DrawnPeople, write_tar
from marginface.evaluation.calibrate import calibrate
from marginface.evaluation.settings import EvaluationConfig
from marginface.images.normalize import InputContract
from marginface.models import FaceModel, ModelCard, decide, load_model, save_model
from marginface.protocols import GeneratedConfig


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a model and drawn faces: 24 people, 1,104 images' pairs enough for FMR 0.05 and 1e-1."""
    folder = tmp_path_factory.mktemp("calibrate")
    write_tar(DrawnPeople(24, 3, seed=5, size=32, difficulty=0.3), folder / "faces.tar")
    config = MobileFaceNetConfig(embedding_dim=16)
    backbone = config.build(input_size=32, seed=0)
    save_model(FaceModel(backbone, config, InputContract(input_size=32), ModelCard(name="drawn")), folder / "model")
    (folder / "model" / "head").mkdir()
    (folder / "model" / "head" / "centres").write_text("kept")
    return folder


def settings(home, **more):
    protocol = GeneratedConfig(num_non_mated="all")
    given = {"name": "drawn", "data": f"tar:{home / 'faces.tar'}", "protocol": protocol, "num_replicates": 0}
    return EvaluationConfig(**{**given, **more})


def test_thresholds_say_the_comparisons_they_rest_on(home):
    model = load_model(home / "model")
    found = calibrate(model, settings(home, fmr_targets=(0.05, 1e-4)), num_replicates=30)
    (threshold,) = found.thresholds
    assert (threshold.target_fmr, threshold.num_non_mated, threshold.extrapolated) == (0.05, 2484, False)
    assert threshold.low < threshold.score < threshold.high
    assert "72 mated and 2,484 non-mated comparisons of 24 people" in threshold.data
    scores, mated = found.evaluation.comparisons.score, found.evaluation.comparisons.mated
    assert np.mean(scores[~mated] >= threshold.score) == pytest.approx(threshold.achieved_fmr)
    assert len(found.refusals) == 1
    assert "300,000 comparisons would do" in found.refusals[0]


def test_a_lower_threshold_leaves_room_for_cannot_tell(home):
    model = load_model(home / "model")
    found = calibrate(model, settings(home, fmr_targets=(0.05,)), reject_fnmr=0.45, num_replicates=5)
    (threshold,) = found.thresholds
    mated = found.evaluation.comparisons.score[found.evaluation.comparisons.mated]
    assert threshold.reject_below <= threshold.score
    assert np.mean([decide(float(s), threshold) == "different" for s in mated]) <= 0.45
    refused = calibrate(model, settings(home, fmr_targets=(0.05,)), reject_fnmr=0.01, num_replicates=5)
    assert refused.thresholds[0].reject_below is None
    assert "72 mated comparisons cannot support FNMR 0.01" in refused.refusals[0]


def test_the_verb_saves_into_the_card_and_touches_nothing_else(home, capsys):
    before = load_model(home / "model").fingerprint
    words = ["calibrate", str(home / "model"), "--data", f"tar:{home / 'faces.tar'}", "--non-mated", "all"]
    assert main([*words, "--fmr", "0.1,0.001", "--replicates", "10", "--workers", "0"]) == 0
    told = capsys.readouterr().out
    assert "not supported" in told
    assert "saved in" in told
    model = load_model(home / "model")
    assert [t.target_fmr for t in model.card.thresholds] == [0.1]
    assert model.fingerprint == before
    assert (home / "model" / "head" / "centres").read_text() == "kept"
    assert "0.1" in (home / "model" / "card.md").read_text()

    extrapolated = [*words, "--fmr", "0.001", "--extrapolate", "--replicates", "10", "--workers", "0"]
    assert main(extrapolated) == 0
    assert [(t.target_fmr, t.extrapolated) for t in load_model(home / "model").card.thresholds] == [
        (0.001, True),
        (0.1, False),
    ]
    assert "(extrapolated)" in (home / "model" / "card.md").read_text()


def test_where_nothing_is_supported_nothing_is_saved(home, capsys):
    kept = (home / "model" / "model.json").read_text()
    words = ["calibrate", str(home / "model"), "--data", f"tar:{home / 'faces.tar'}", "--fmr", "1e-5"]
    assert main([*words, "--replicates", "5", "--workers", "0"]) == 2
    assert "no threshold was saved" in capsys.readouterr().err
    assert main([*words[:-1], "one"]) == 2
    assert "give rates with commas" in capsys.readouterr().err
    assert (home / "model" / "model.json").read_text() == kept
