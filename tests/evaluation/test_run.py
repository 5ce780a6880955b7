"""From a folder of faces to numbers and a page: systems meet the same pairs, and the record says where from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from marginface.config import dump, load
from marginface.errors import InputError
from marginface.evaluation.baselines import RawPixels
from marginface.evaluation.report import write_report
from marginface.evaluation.run import evaluate, evaluate_systems
from marginface.evaluation.settings import EvaluationConfig
from marginface.protocols import GeneratedConfig
from tests.evaluation.made_up import evaluation
from tests.helpers.synthetic import write_faces


class Noise(RawPixels):
    """An embedder that tells nothing."""

    name = "noise"
    fingerprint = "noise"

    def embed(self, images, *, flip="sum"):
        return super().embed(images, flip=flip)[:, np.random.default_rng(0).permutation(256)[:1]].repeat(1, 256)


def config_of(root: Path, **settings: object) -> EvaluationConfig:
    protocol = GeneratedConfig(num_non_mated=300)
    return EvaluationConfig(name="drawn", data=f"folder:{root}", protocol=protocol, num_replicates=50, **settings)


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    return write_faces(tmp_path / "faces", num_identities=12, images_per_identity=4, size=32)


def test_raw_pixels_beat_chance_and_noise_does_not(faces: Path) -> None:
    noise, raw = evaluate_systems([Noise(input_size=32), RawPixels(input_size=32)], config_of(faces), names=["a", "b"])
    assert (noise.system, raw.system) == ("a", "b")
    assert raw.summary.equal_error_rate.value < 0.25 < noise.summary.equal_error_rate.value
    np.testing.assert_array_equal(noise.comparisons.mated, raw.comparisons.mated)


def test_the_record_survives_json_and_says_where_its_numbers_come_from(faces: Path) -> None:
    found = evaluate(RawPixels(input_size=32), config_of(faces), command="marginface evaluate raw-pixels")
    record = found.to_json()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["counts"] == {
        "mated": 72,
        "non_mated": 300,
        "identities": 12,
        "images": 48,
        "broken": 0,
        "pairs_left_out": 0,
    }
    assert record["system"]["fingerprint"] == "raw-pixels-16"
    assert record["provenance"]["data"] == f"folder:{faces}"
    assert record["provenance"]["command"] == "marginface evaluate raw-pixels"
    assert "mirror image added" in record["provenance"]["flip"]
    assert record["eer"]["value"] == found.summary.equal_error_rate.value
    assert sum(record["scores"]["mated"]) == 72
    assert sum(record["norms"]["counts"]) == 48
    lowest = found.comparisons.score[found.comparisons.mated].min()
    assert record["hardest"]["mated"][0]["score"] == pytest.approx(float(lowest))


def test_only_images_of_the_pairs_are_embedded(faces: Path, tmp_path: Path) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text(
        "left,right,mated\nperson_00/0000.jpg,person_00/0001.jpg,1\nperson_00/0000.jpg,person_05/0002.jpg,0\n"
    )
    mapping = {"name": "mine", "data": str(faces), "protocol": {"kind": "csv", "pairs_file": str(table)}}
    found = evaluate(RawPixels(input_size=32), load(EvaluationConfig, {**mapping, "num_replicates": 0}))
    assert found.table.keys == ("person_00/0000.jpg", "person_00/0001.jpg", "person_05/0002.jpg")


def test_broken_images_stop_it_or_are_counted_with_their_pairs(faces: Path) -> None:
    (faces / "person_03" / "0002.jpg").write_text("not an image")
    with pytest.raises(InputError, match=r"person_03/0002\.jpg"):
        evaluate(RawPixels(input_size=32), config_of(faces))
    record = evaluate(RawPixels(input_size=32), config_of(faces, skip_broken=True)).to_json()
    assert record["broken"] == ["person_03/0002.jpg"]
    assert record["counts"]["broken"] == 1
    assert record["counts"]["mated"] == 69
    assert record["counts"]["pairs_left_out"] == 3 + 300 - record["counts"]["non_mated"]


def test_the_page_of_a_real_evaluation_shows_the_images(faces: Path, tmp_path: Path) -> None:
    from marginface.records.open import open_records

    source = open_records(faces)
    found = evaluate(RawPixels(input_size=32), config_of(faces), source=source)
    html = write_report(tmp_path / "out", [found], title="Drawn", sources=[source]).read_text()
    strips = found.to_json()["hardest"]
    assert html.count("data:image/jpeg") == 2 * (len(strips["mated"]) + len(strips["non_mated"]))
    assert "no picture" not in html
    assert "photographs from the evaluated data" in html


def test_result_for_a_training_log() -> None:
    found = evaluation("trained", separation=3.2).result
    assert set(found.fields) == {"name", "accuracy", "accuracy_low", "accuracy_high", "eer", "eer_low", "eer_high"}
    assert found.fields["accuracy_low"] < found.fields["accuracy"] < found.fields["accuracy_high"]
    assert found.ranking_score == found.fields["accuracy"]
    assert found.sentence.startswith("strangers: accuracy 9")
    without_folds = evaluation("trained", separation=3.2, folds=False).result
    assert without_folds.fields["accuracy"] is None
    assert without_folds.ranking_score == 1 - without_folds.fields["eer"]


def test_unequal_kinds_are_ranked_by_eer_because_accuracy_is_trivial(faces: Path) -> None:
    found = evaluate(RawPixels(input_size=32), config_of(faces))
    accuracy = found.to_json()["accuracy"]
    assert accuracy["trivial"] == pytest.approx(300 / 372)
    assert found.result.ranking_score == 1 - found.summary.equal_error_rate.value
    assert "accuracy" not in found.result.sentence


def test_config_round_trip_and_refusals() -> None:
    config = EvaluationConfig(name="a", data="tar:x.tar", protocol=GeneratedConfig(seed=4))
    assert load(EvaluationConfig, dump(config)) == config
    for setting, message in (
        ({"fmr_targets": (1e-2, 2.0)}, "2 is not a rate"),
        ({"fmr_targets": (1e-2, 1e-2)}, "twice"),
        ({"num_replicates": -1}, "0 or more"),
        ({"name": ""}, "name is empty"),
    ):
        with pytest.raises(ValueError, match=message):
            EvaluationConfig(**{"name": "a", "data": "x", "protocol": GeneratedConfig(), **setting})


@pytest.mark.parametrize(("pairs", "target", "support"), [(31_000, 1e-3, "supported"), (400, 1e-2, "thin")])
def test_headline_is_the_strictest_rate_supported_or_the_least_thin(pairs: int, target: float, support: str) -> None:
    point = evaluation("trained", pairs=pairs, folds=False).to_json()["headline_point"]
    assert (point["target_fmr"], point["support"]) == (target, support)
