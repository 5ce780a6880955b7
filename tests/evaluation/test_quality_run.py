"""Claims about a quality run: its curves are those of the metric, its files hold what was found, its verb works."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from marginface.backbones import MobileFaceNetConfig
from marginface.cli.main import main
from marginface.drawn import DrawnPeople
from marginface.errors import InputError
from marginface.evaluation.quality_plots import write_pictures
from marginface.evaluation.quality_run import quality_record, run_quality, write_quality
from marginface.evaluation.settings import EvaluationConfig
from marginface.images.decode import decode_image
from marginface.images.normalize import InputContract
from marginface.metrics.discard import error_versus_discard, pair_quality
from marginface.models import FaceModel, ModelCard, save_model
from marginface.protocols import GeneratedConfig, compare
from marginface.quality import write_ofiq
from marginface.records.embedding_table import EmbeddingTable

SPEC = "drawn:?people=5&images=3&seed=3&size=32&difficulty=0.7"
PEOPLE = DrawnPeople(5, 3, seed=3, size=32, difficulty=0.7)
METHODS = ("norm", "sharpness", "pose")


@pytest.fixture(scope="module")
def model():
    config = MobileFaceNetConfig(embedding_dim=16)
    return FaceModel(config.build(input_size=32, seed=0), config, InputContract(input_size=32), ModelCard(name="tiny"))


def settings(**more):
    protocol = GeneratedConfig(num_non_mated="all")
    given = {"name": "generated", "data": SPEC, "protocol": protocol, "flip": "none", "fmr_targets": (0.1,)}
    return EvaluationConfig(**{**given, "num_replicates": 0, **more})


@pytest.fixture(scope="module")
def run(model):
    return run_quality(PEOPLE, METHODS, model=model, protocols=[settings()], num_replicates=20)


def test_a_curve_is_the_metric_of_the_worse_image_of_each_pair(run):
    table = run.assessment.table()
    pairs = compare(table, settings().protocol.plan(PEOPLE))
    sharpness = run.scores["sharpness"]
    by_hand = error_versus_discard(
        pairs.score, pairs.mated, pair_quality(sharpness[pairs.left], sharpness[pairs.right]), fmr=0.1
    )
    fixed, retuned = run.worth[0].curves["sharpness"]
    assert fixed.fnmr == pytest.approx(by_hand.fnmr)
    assert (fixed.rule, retuned.rule) == ("fixed", "retuned")
    assert fixed.num_replicates == 20


def test_files_of_a_run(run, tmp_path):
    write_quality(tmp_path, run)
    record = json.loads((tmp_path / "quality.json").read_text())
    assert record == json.loads(json.dumps(quality_record(run)))
    edc = record["error_versus_discard"]["generated"]
    assert (edc["recogniser"], set(edc["curves"])) == ("tiny", set(METHODS))
    assert edc["curves"][edc["best"]]["fixed"]["minus_best"] == [0.0, 0.0]
    assert len(record["spearman_with_nuisance"]["pose"]["yaw"]) == 3
    assert record["methods"]["sharpness"]["iso_component"] == "Sharpness"
    table = EmbeddingTable.load(tmp_path / "table")
    assert table.column("quality") == pytest.approx(run.scores["norm"], rel=1e-6)
    assert len((tmp_path / "quality.csv").read_text().splitlines()) == 16


def test_pictures_of_a_run(run, tmp_path):
    write_pictures(tmp_path, run, PEOPLE)
    names = {f"sorted-{m}" for m in METHODS} | {"histograms", "error-versus-discard", "truth"}
    assert {path.stem for path in tmp_path.iterdir()} == names
    for path in tmp_path.iterdir():
        assert cv2.imread(str(path)).std() > 5
    sheet = cv2.cvtColor(cv2.imread(str(tmp_path / "sorted-norm.png")), cv2.COLOR_BGR2RGB)
    worst = PEOPLE[int(np.argmin(run.scores["norm"]))]
    tile = cv2.resize(decode_image(worst.image, name=worst.key), (112, 112))
    assert np.abs(sheet[6:118, 6:118].astype(int) - tile).mean() < 1  # the worst stands first


def test_an_image_without_a_value_is_the_first_to_leave(model, tmp_path):
    values = np.arange(15.0)
    values[[4, 9]] = np.nan
    write_ofiq(tmp_path / "q.csv", PEOPLE.keys, {"theirs": values})
    found = run_quality(
        PEOPLE, ["contrast"], recogniser=model, ofiq=tmp_path / "q.csv", protocols=[settings()], num_replicates=0
    )
    ranked = np.where(np.isfinite(values), values, -1)
    pairs = compare(run_quality(PEOPLE, ["norm"], model=model).assessment.table(), settings().protocol.plan(PEOPLE))
    by_hand = error_versus_discard(
        pairs.score, pairs.mated, pair_quality(ranked[pairs.left], ranked[pairs.right]), fmr=0.1
    )
    assert found.worth[0].curves["theirs"][0].fnmr == pytest.approx(by_hand.fnmr)
    assert quality_record(found)["methods"]["theirs"]["missing"] == 2


def test_curves_need_a_recogniser():
    with pytest.raises(InputError, match="needs a recogniser"):
        run_quality(PEOPLE, ["contrast"], protocols=[settings()])


def test_the_verb_writes_everything(model, tmp_path, capsys):
    save_model(model, tmp_path / "model")
    words = ["quality", str(tmp_path / "model"), SPEC, "--out", str(tmp_path / "out"), "--methods", "norm", "contrast"]
    words += ["--edc", "generated", "--fmr", "0.1", "--replicates", "5", "--workers", "0"]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "at random" in told
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"quality.csv", "quality.json", "sorted-norm.png", "error-versus-discard.png", "truth.png", "table"} <= names


def test_the_verb_serves_without_a_model_and_says_what_is_absent(tmp_path, capsys):
    assert main(["quality", "none", "drawn:?people=2&images=2&size=32", "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "norm is absent: it needs a model." in told
    assert not (tmp_path / "out" / "table").exists()
    assert main(["quality", "none", "drawn:?peple=2", "--out", str(tmp_path / "out")]) == 2
    assert "drawn people take people, images" in capsys.readouterr().err


def test_several_protocols_at_once_pairs_and_searches(model, tmp_path, capsys):
    save_model(model, tmp_path / "model")
    table = tmp_path / "desk.csv"
    rows = [f"{key},{'gallery' if key.endswith('0000') else 'probe'},{key.split('/')[0]}" for key in PEOPLE.keys]
    rows = [row.replace(",probe", ",gallery", 1) if i % 3 == 0 else row for i, row in enumerate(rows)]
    table.write_text("image,role,person\n" + "\n".join(rows) + "\n")
    file = tmp_path / "sets.yaml"
    protocol = {"kind": "gallery", "table": str(table)}
    file.write_text(json.dumps({"evaluations": [{"name": "desk", "data": SPEC, "protocol": protocol}]}))
    words = ["quality", str(tmp_path / "model"), SPEC, "--methods", "norm", "contrast", "--workers", "0"]
    words += ["--fmr", "0.1", "--replicates", "5", "--runtime", "eager"]
    out = tmp_path / "out"
    assert main([*words, "--out", str(out), "--edc", "generated", "--edc", str(file)]) == 0
    told = capsys.readouterr().out
    assert "generated: mean FNMR at FMR 10 %" in told
    assert "desk: mean Share not found at rank 1" in told
    worth = json.loads((out / "quality.json").read_text())["error_versus_discard"]
    assert list(worth) == ["generated", "desk"]
    assert set(worth["generated"]["curves"]["norm"]) == {"fixed", "retuned"}
    assert set(worth["desk"]["curves"]["norm"]) == {"fixed"}
    assert worth["desk"]["left_out"] == "searches for enrolled people"
    assert {"error-versus-discard-generated.png", "error-versus-discard-desk.png"} <= {p.name for p in out.iterdir()}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--edc", "generated", "--edc", "generated"], "--edc names 'generated' twice"),
        (["--edc", "generated", "--pairs", "x"], "neither is given"),
        (["--runtime", "torch"], "classical measures alone have nothing to run"),
        (["--meta", "x"], "--meta goes with one --edc KIND"),
        (["--edc", "sets.yaml"], "sets.yaml"),
        (["--edc", "pack", "--edc", "generated"], "a pack is a .bin file"),
    ],
)
def test_protocols_that_do_not_fit_together_are_refused(more, said, tmp_path, capsys):
    assert main(["quality", "none", SPEC, "--out", str(tmp_path / "out"), *more]) == 2
    assert said in capsys.readouterr().err
