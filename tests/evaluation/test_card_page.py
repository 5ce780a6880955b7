"""The model card is what the hub reads: front matter with the report's numbers."""

from __future__ import annotations

import json

import pytest
import yaml

from marginface.evaluation.card_page import model_card
from marginface.evaluation.report import write_report
from marginface.models.card import ModelCard
from tests.evaluation.made_up import evaluation, identification


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("card")
    cards = {
        "a|b": ModelCard(name="a|b", licence="Apache-2.0", description="Made up."),
        "other": ModelCard(name="other", licence="research only; ask | us"),
    }
    found = [evaluation("other"), evaluation("a|b", separation=3.2), identification("other"), identification("a|b")]
    write_report(folder, found, title="T", cards=cards)
    return json.loads((folder / "report.json").read_text())


def front_matter(text: str) -> dict:
    assert text.startswith("---\n")
    return yaml.safe_load(text.split("---\n")[1])


def test_the_model_index_holds_the_reports_numbers(report: dict) -> None:
    (index,) = front_matter(model_card(report, "a|b"))["model-index"]
    assert index["name"] == "a|b"
    pairs, searches = index["results"]
    assert pairs["task"]["type"] == "face-verification"
    assert searches["task"]["type"] == "face-identification"
    assert pairs["dataset"] == {"name": "strangers", "type": "strangers", "args": pairs["dataset"]["args"]}
    record = report["systems"][1]
    values = {metric["name"]: metric for metric in pairs["metrics"]}
    assert values["Equal error rate"]["value"] == record["eer"]["value"]
    point = record["operating_points"][0]
    assert values["FNMR at FMR 0.01"]["value"] == point["fnmr"]["value"]
    assert values["FNMR at FMR 0.01"]["args"]["trials"] == point["fnmr"]["trials"]
    assert values["FNMR at FMR 0.01"]["args"]["threshold"] == point["threshold"]
    assert "FNMR at FMR 0.0001" not in values  # the data cannot say it


def test_a_licence_is_one_of_the_hubs_or_other_with_a_name(report: dict) -> None:
    assert front_matter(model_card(report, "a|b"))["license"] == "apache-2.0"
    found = front_matter(model_card(report, "other"))
    assert (found["license"], found["license_name"]) == ("other", "research-only-ask-us")


def test_tables_keep_their_columns(report: dict) -> None:
    for name in ("a|b", "other"):
        lines = model_card(report, name).splitlines()
        rows = [line.replace("\\|", "") for line in lines if line.startswith("| ")]
        assert {row.count("|") for row in rows} == {6}
        assert "What these sets can and cannot say" in "\n".join(lines)
