"""Fine-tuning as a user has it: new people are named better, strangers and forgetting are told, it resumes exactly."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import f1_score

from marginface import config as recipes
from marginface.cli.main import main
from marginface.drawn import DrawnPeople
from marginface.drawn import write_tar as draw_tar
from marginface.evaluation.embed import embed_records
from marginface.images.normalize import InputContract
from marginface.models import FaceModel, load_model, save_model
from marginface.records.open import open_records
from marginface.training.config import TrainConfig
from marginface.training.run_head import head_of_run
from tests.helpers.plain_backbone import KIND
from tests.helpers.runs import tiny_recipe
from tests.helpers.synthetic import write_faces

SMALL = ["--workers", "0", "--flip", "none", "--replicates", "200", "--data.batch_size", "16"]
LONG = ["--degrade", "gaussian:1", "--epochs", "8", "--checkpoint.every_epochs", "2", "--checkpoint.keep", "9"]
RATES = ["--optim.lr", "0.05", "--clip_norm", "5", "--head.scale", "16"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finetune")
    backbone = {"kind": KIND, "num_blocks": 2, "batch_norm": True, "embedding_dim": 32}
    config = recipes.load(TrainConfig, tiny_recipe("folder:none", backbone=backbone)).backbone
    network = config.build(input_size=32, seed=3)
    save_model(FaceModel(network, config, InputContract(input_size=32)), folder / "model")
    draw_tar(DrawnPeople(16, 12, seed=5, size=32), folder / "staff.tar")
    draw_tar(DrawnPeople(8, 4, seed=5, size=32, first_person=16), folder / "others.tar")
    return folder


@pytest.fixture(scope="module")
def tuned(place: Path) -> Path:
    out = place / "tuned"
    assert main([*_usual(place, out), *RATES, *LONG, "--verification", f"tar:{place / 'others.tar'}"]) == 0
    return out


def _usual(place: Path, out: Path) -> list[str]:
    return ["finetune", str(place / "model"), "--data", f"tar:{place / 'staff.tar'}", "--out", str(out), *SMALL]


def _rows(out: Path) -> dict:
    record = json.loads((out / "result.json").read_text())
    return {(row["when"], row["by"], row["condition"]): row for row in record["rows"]}


def test_new_people_are_named_better_also_on_degraded_images(tuned: Path) -> None:
    record = json.loads((tuned / "result.json").read_text())
    gains = {(g["by"], g["condition"]): g["macro"] for g in record["gains"]}
    for condition in ("clean", "degraded"):
        assert gains["template", condition]["low"] > 0, gains
    assert {(r["when"], r["by"]) for r in record["rows"]} == {
        ("before", "template"),
        ("after", "template"),
        ("after", "classifier"),
    }


def test_the_numbers_are_those_of_the_written_model_and_head(place: Path, tuned: Path) -> None:
    model = load_model(tuned / "run" / "model")
    test = open_records(f"tar:{place / 'staff.tar'}?only={tuned / 'split' / 'test.txt'}")
    table = embed_records(model, test, flip="none")
    assert model.name == "tuned"
    centres = torch.nn.functional.normalize(head_of_run(tuned / "run").head.class_centres.detach(), dim=1)
    answers = (torch.from_numpy(table.unit) @ centres.T).argmax(dim=1).numpy()
    row = _rows(tuned)["after", "classifier", "clean"]
    for mean in ("macro", "micro", "weighted"):
        assert row[mean]["value"] == pytest.approx(f1_score(test.labels, answers, average=mean, zero_division=0))
        assert row[mean]["low"] <= row[mean]["value"] <= row[mean]["high"]


def test_strangers_and_forgetting_are_reported(tuned: Path) -> None:
    record = json.loads((tuned / "result.json").read_text())
    assert record["split"]["unknown"]["people"] == 2
    for row in record["rows"]:
        found = row["open_set"]
        assert found["calibration"]["accepted"] <= 0.05
        assert 0 <= found["unknown_accepted"]["low"] <= found["unknown_accepted"]["value"]
    assert [system["system"]["name"] for system in record["verification"]] == ["before", "after"]
    assert all(system["counts"]["mated"] == 8 * 6 for system in record["verification"])
    table = (tuned / "table.md").read_text()
    assert "| after | the head's classifier | degraded |" in table
    assert "Forgetting, on strangers: 48 mated" in table


def test_the_head_alone_leaves_the_model_as_it_was(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = place / "head"
    words = ["--trains", "head", "--epochs", "1", "--degrade", "none", "--unknown-share", "0"]
    assert main([*_usual(place, out), *words]) == 0
    assert "before | nearest class template" in capsys.readouterr().out
    before, after = (load_file(f / "model.safetensors") for f in (place / "model", out / "run" / "model"))
    assert all(torch.equal(before[name], after[name]) for name in before)
    rows = _rows(out)
    ways = [("before", "template"), ("after", "template"), ("after", "classifier")]
    assert list(rows) == [(*way, "clean") for way in ways]
    assert rows["before", "template", "clean"]["macro"] == rows["after", "template", "clean"]["macro"]
    assert rows["after", "classifier", "clean"]["open_set"] is None


def test_a_resumed_fine_tuning_ends_the_same(place: Path, tuned: Path) -> None:
    out = place / "broken"
    shutil.copytree(tuned, out)
    for name in ("result.json", "table.md"):
        (out / name).unlink()
    for folder in sorted((out / "run" / "checkpoints").iterdir())[1:]:
        shutil.rmtree(folder)
    recipe = (out / "run" / "recipe.yaml").read_text().replace(str(tuned), str(out))
    (out / "run" / "recipe.yaml").write_text(recipe)  # the copy has another place, and its lists with it
    assert main([*_usual(place, out), *RATES, *LONG, "--verification", f"tar:{place / 'others.tar'}", "--resume"]) == 0
    for name in ("rows", "gains", "split"):
        whole, broken = (json.loads((folder / "result.json").read_text())[name] for folder in (tuned, out))
        assert whole == broken
    whole, broken = (load_file(f / "run" / "model" / "model.safetensors") for f in (tuned, out))
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--degrade", "gaussian"], "--degrade gaussian: say kind and strength"),
        (["--degrade", "fog:3"], "there is no degradation 'fog'"),
        (["--unknown-accepted", "1"], "--unknown-accepted 1 is no share"),
        (["--backbone.embedding_dim", "64"], "finetune takes this from MODEL"),
        (["--head.sub_centres", "3"], "leave out sub_centres and spheres"),
        (["--head.scale", "1", "--head.margin.kind", "softmax"], "softmax does not compare directions"),
        (["--resume"], "there is nothing to resume"),
        (["--protocol", "lfw", "--verification", "folder:x"], "say where it is with --pairs"),
        (["--epoch", "3"], "epoch"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    words: list[str], message: str, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*_usual(place, tmp_path / "o"), *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_a_missing_model_and_too_few_people_or_images_are_refused(
    place: Path, tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write_faces(tmp_path / "one", num_identities=1, images_per_identity=4, size=32)
    single = write_faces(tmp_path / "single", num_identities=5, images_per_identity=2, size=32)
    (single / "person_03" / "0001.jpg").unlink()
    staff, model = f"tar:{place / 'staff.tar'}", str(place / "model")
    for where, data, out, message in [
        (str(tmp_path / "none"), staff, tmp_path / "o", "none: there is no such folder"),
        (model, f"folder:{one}", tmp_path / "o", "at least two people"),
        (model, f"folder:{single}", tmp_path / "o", "person_03 has one image"),
        (model, staff, tuned, "there is a fine-tuning already"),
        (model, staff, tmp_path, "this is not an empty folder"),
    ]:
        assert main(["finetune", where, "--data", data, "--out", str(out)]) == 2
        assert message in capsys.readouterr().err
