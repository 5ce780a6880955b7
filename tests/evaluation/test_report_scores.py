"""A file of scores gives the numbers of the evaluation that wrote it, and no model is needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from marginface.cli.main import main
from marginface.errors import InputError
from marginface.evaluation.report_scores import ScoreSettings, judge_scores
from marginface.evaluation.score_output import write_scores_of
from marginface.protocols.score_files import read_scores, write_scores
from marginface.quality import write_ofiq
from tests.evaluation.made_up import evaluation

SETTINGS = ScoreSettings(num_replicates=50)


@pytest.fixture(scope="module")
def found():
    return evaluation("trained", separation=3.0, people=120)


@pytest.fixture
def scores(found, tmp_path: Path) -> Path:
    return write_scores_of(found, tmp_path / "trained.csv")


def test_a_csv_gives_the_numbers_of_the_evaluation(found, scores: Path) -> None:
    record, whole = judge_scores(scores, SETTINGS, system="trained").to_json(), found.to_json()
    for name in ("eer", "operating_points", "accuracy", "area_under_roc"):
        assert record[name] == whole[name], name
    assert record["det"]["fnmr"] == whole["det"]["fnmr"]
    assert record["scores"]["mated"] == whole["scores"]["mated"]
    assert [p["left"] for p in record["hardest"]["mated"]] == [p["left"] for p in whole["hardest"]["mated"]]
    assert record["counts"]["identities"] == whole["counts"]["identities"]
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_other_forms_give_what_they_know(scores: Path, tmp_path: Path) -> None:
    whole = judge_scores(scores, SETTINGS, system="s").to_json()
    four = write_scores(tmp_path / "four.txt", read_scores(scores), form="four-column")[0]
    record = judge_scores(four, SETTINGS, system="s").to_json()
    assert record["eer"] == whole["eer"]
    assert (record["counts"]["images"], record["accuracy"]) == (None, None)
    mated, other = write_scores(tmp_path / "pyeer.txt", read_scores(scores), form="pyeer")
    record = judge_scores(mated, SETTINGS, system="s", non_mated=other).to_json()
    assert record["eer"]["value"] == whole["eer"]["value"]
    assert record["counts"]["identities"] is None
    assert record["hardest"] == {"mated": [], "non_mated": []}


def test_quality_and_groups_come_from_files(found, scores: Path, tmp_path: Path) -> None:
    quality = tmp_path / "quality.csv"
    write_ofiq(quality, found.table.keys, {"sharpness": found.table.norms})
    groups = tmp_path / "groups.csv"
    people = found.table.identities
    groups.write_text("identity,group\n" + "".join(f"{p},{'ab'[i % 2]}\n" for i, p in enumerate(people)))
    settings = ScoreSettings(num_replicates=20, quality=quality, groups=groups)
    record = judge_scores(scores, settings, system="s").to_json()
    assert record["groups"]["groups"] == ["a", "b"]
    assert sum(one["trials"] for one in record["groups"]["fnmr"]) == record["counts"]["mated"]
    assert list(record["quality"]["curves"]) == ["sharpness"]
    lowest = record["quality"]["lowest"][0]["key"]
    norms = dict(zip(found.table.keys, found.table.norms, strict=True))
    used = {key for line in scores.read_text().splitlines()[1:] for key in line.split(",")[:2]}
    assert lowest == min(used, key=lambda key: norms[key])


@pytest.mark.parametrize("setting", ["quality", "groups"])
def test_a_file_without_names_can_have_no_quality_and_no_groups(scores: Path, tmp_path: Path, setting: str) -> None:
    four = write_scores(tmp_path / "four.txt", read_scores(scores), form="four-column")[0]
    table = tmp_path / "table.csv"
    table.write_text("identity,group\n")
    with pytest.raises(InputError, match="names none"):
        judge_scores(four, ScoreSettings(**{setting: table}), system="s")


def test_the_verb_writes_a_report_and_makes_it_again(
    scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_scores_of(evaluation("raw", separation=1.0, people=120), tmp_path / "raw.csv")
    words = ["report", str(other), str(scores), "--replicates", "20", "--name", "audit", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    html = (tmp_path / "out" / "report.html").read_bytes()
    assert b"trained: audit" in html
    assert b"as the file has it" in html
    (tmp_path / "out" / "report.html").unlink()
    assert main(["report", str(tmp_path / "out" / "report.json")]) == 0
    assert (tmp_path / "out" / "report.html").read_bytes() == html
    capsys.readouterr()
    assert main(["report", str(scores)]) == 2
    assert "--out DIR" in capsys.readouterr().err
