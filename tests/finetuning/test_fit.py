"""Photographs by person become a model with thresholds, and every step that is done already is not done again."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from marginface import config as recipes
from marginface.errors import InputError
from marginface.finetuning.fit import FitResult, fit, helps
from marginface.finetuning.fit_steps import FitPlan
from marginface.images.normalize import InputContract
from marginface.models import FaceModel, ModelCard, load_model, save_model
from marginface.training.config import TrainConfig
from tests.helpers.photographs import FramedFaces, write_photograph
from tests.helpers.plain_backbone import KIND
from tests.helpers.runs import tiny_recipe

BACKBONE = {"kind": KIND, "num_blocks": 1, "batch_norm": True}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("fit")
    for person in range(9):
        for view in range(4):
            write_photograph(
                place / "photos" / f"person_{person}" / f"{view}.png", [(person, 20 + view, 10, 112)], view=view
            )
    write_photograph(place / "photos" / "lonely" / "1.png", [(30, 20, 10, 112)])
    (place / "photos" / "person_0" / "broken.jpg").write_text("no picture")
    config = recipes.load(TrainConfig, tiny_recipe("folder:none", backbone=BACKBONE)).backbone
    model = FaceModel(
        config.build(input_size=112, seed=3), config, InputContract(input_size=112), ModelCard(name="theirs")
    )
    save_model(model, place / "model")
    return place


def fitted(place: Path, out: str, photos: str = "photos", **plan: object) -> FitResult:
    settings = {"num_workers": 0, "num_replicates": 50, "overrides": ("--epochs=1",), "fmr_targets": (0.2, 1e-4)} | plan
    return fit(
        place / photos,
        place / out,
        model=load_model(place / "model"),
        model_folder=str(place / "model"),
        detector=FramedFaces(),
        plan=FitPlan(**settings),
        bars=lambda: contextlib.nullcontext(lambda *words: None),
    )


def test_a_folder_becomes_a_model_with_thresholds_and_a_page(place: Path) -> None:
    result = fitted(place, "out")
    record = json.loads((place / "out/fit.json").read_text())
    assert record["alignment"]["photographs"] == 38
    assert record["alignment"]["rejected"] == {"cannot be read": 1}
    used = (place / "out/use.txt").read_text().splitlines()
    excluded = (place / "out/visit/exclude.txt").read_text().splitlines()
    assert not {"lonely/1.jpg", *excluded} & set(used)
    people = {key.split("/")[0] for key in used}
    assert record["used"] == {"images": len(used), "people": len(people)}
    assert len(people) >= 7  # an untrained network doubts some
    made = load_model(result.model)
    assert made.fingerprint == record["model"]["fingerprint"]
    assert record["model"]["tuned"] == (made.fingerprint != load_model(place / "model").fingerprint)
    assert [t.target_fmr for t in made.card.thresholds] == [0.2]
    assert any("cannot support FMR 0.0001" in refusal for refusal in record["refusals"])
    assert (place / "out/tuning/table.md").exists()
    page = result.page.read_text()
    assert f"{len(people)} people" in page
    assert "photographs that cannot be read" in page


def test_a_second_call_repeats_no_step_that_is_done(place: Path) -> None:
    if not (place / "out" / "fit.json").exists():
        fitted(place, "out")
    files = [place / "out" / name for name in ("faces.tar", "visit/doctor.json", "tuning/run/log.jsonl")]
    before = [file.stat().st_mtime_ns for file in files[:2]]
    weights = (place / "out/tuning/run/model/model.safetensors").read_bytes()
    assert fitted(place, "out").exit_code == 0
    assert [file.stat().st_mtime_ns for file in files[:2]] == before
    assert (place / "out/tuning/run/model/model.safetensors").read_bytes() == weights


def test_few_people_are_calibrated_but_not_tuned(place: Path) -> None:
    for person in range(4):
        for view in range(3):
            write_photograph(place / "few" / str(person) / f"{view}.png", [(person, 20, 10, 112)], view=view)
    result = fitted(place, "few_out", photos="few")
    assert "5 are needed" in result.record["notes"][-1]
    assert not result.record["model"]["tuned"]
    assert not (place / "few_out/tuning").exists()


def test_nobody_with_two_photographs_is_refused(place: Path) -> None:
    for person in range(3):
        write_photograph(place / "single" / str(person) / "1.png", [(person, 20, 10, 112)])
    with pytest.raises(InputError, match="nobody has two usable photographs"):
        fitted(place, "single_out", photos="single")


def gain(condition: str, low: float, high: float, by: str = "template") -> dict:
    return {"by": by, "condition": condition, "macro": {"value": (low + high) / 2, "low": low, "high": high}}


@pytest.mark.parametrize(
    "gains, helped, word",
    [
        ([gain("clean", 0.01, 0.03), gain("degraded", -0.01, 0.02)], True, "clean images better"),
        ([gain("clean", -0.01, 0.01), gain("degraded", -0.01, 0.02)], False, "does not name"),
        ([gain("clean", -0.03, -0.01), gain("degraded", 0.1, 0.2)], False, "clean images worse"),
        ([gain("clean", 0.1, 0.2, by="classifier")], False, "does not name"),
    ],
)
def test_fine_tuning_has_to_help_beyond_chance_and_harm_nowhere(gains: list, helped: bool, word: str) -> None:
    found, why = helps(gains)
    assert found is helped
    assert word in why
