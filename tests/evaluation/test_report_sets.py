"""A report of several sets and systems: one page, and from its JSON the same bytes."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from marginface.errors import InputError
from marginface.evaluation.report import Report, read_report, regenerate, write_report
from marginface.metrics import differential_summary
from marginface.models.card import ModelCard
from marginface.records.open import open_records
from tests.evaluation.made_up import evaluation, identification
from tests.evaluation.test_report import Page
from tests.helpers.synthetic import write_faces

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    faces = write_faces(folder / "faces", num_identities=40, images_per_identity=3, size=32)
    for person in list(faces.iterdir()):
        person.rename(faces / person.name.replace("_", "_0"))  # as made-up evaluations call them
    pairs = [with_groups(evaluation(n, separation=s, people=40, person="person")) for n, s in (("a", 2.5), ("b", 3.2))]
    searches = [identification(n, gap=g, galleries=2) for n, g in (("a", 2.9), ("b", 3.0))]
    write_report(
        folder / "out",
        [*pairs, *searches],
        title="Two sets",
        sources={"strangers": [open_records(faces)]},
        cards={"b": ModelCard(name="b", licence="MIT", training_data="drawn people")},
        created=NOON,
    )
    return folder / "out"


def with_groups(one):
    found = one.comparisons
    summary = differential_summary(
        found.score,
        found.mated,
        found.identity_left % 3,
        found.identity_right % 3,
        groups=("x", "y", "z"),
        fmr=0.01,
        identity_left=found.identity_left,
        identity_right=found.identity_right,
        num_replicates=20,
    )
    return dataclasses.replace(one, groups=summary)


def test_every_set_has_its_section_its_figures_and_what_it_can_say(written: Path) -> None:
    html = (written / "report.html").read_text()
    for name in ("strangers-det", "strangers-quality", "strangers-groups", "desk-cmc", "desk-open_set"):
        assert f'id="{name}"' in html
        assert (written / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert html.count("What this data can and cannot say") == 2
    assert "b is better than a" in html  # pairs: the intervals lie apart
    assert "does not tell b from a" in html  # searches: they overlap
    assert Page(html).without_alt == 0
    assert all(a.startswith(("data:image/", "#")) for a in Page(html).addresses)


def test_numbers_of_every_record_stand_on_the_page(written: Path) -> None:
    shown = [value for value, _ in Page((written / "report.html").read_text()).numbers]
    for record in json.loads((written / "report.json").read_text())["systems"]:
        if "galleries" in record:
            assert {one["value"] for one in record["average"]["ranks"]} <= set(shown)
        else:
            assert record["eer"]["value"] in shown
    groups = json.loads((written / "report.json").read_text())["systems"][1]["groups"]
    assert {one["value"] for kind in ("fmr", "fnmr", "fmr_across") for one in groups[kind]} <= set(shown)


def test_what_overlaps_with_the_best_is_grey_and_nothing_else(written: Path) -> None:
    html = (written / "report.html").read_text()
    overview = html[html.index('class="overview"') : html.index('id="about-overview"')]
    strangers, desk = overview.split(">desk</a>")
    assert "tied" not in strangers
    assert desk.count('class="tied"') == desk.count('class="best"') > 0


def test_the_record_and_its_pictures_give_the_same_bytes_again(written: Path, tmp_path: Path) -> None:
    regenerate(written / "report.json", tmp_path)
    made = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert len(made) == 2 + 2 * 7
    for path in made:
        assert (tmp_path / path).read_bytes() == (written / path).read_bytes(), path


def test_a_picture_that_is_missing_or_another_is_refused(written: Path, tmp_path: Path) -> None:
    record = json.loads((written / "report.json").read_text())
    (key, digest), *_ = record["pictures"]["strangers"].items()
    only = {**record, "pictures": {"strangers": {key: digest}, "desk": {}}}
    (tmp_path / "report.json").write_text(json.dumps(only))
    with pytest.raises(InputError, match="this picture of the report is missing"):
        read_report(tmp_path / "report.json")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / f"{digest[:20]}.jpg").write_bytes(b"another")
    with pytest.raises(InputError, match="not the picture that the report was made with"):
        read_report(tmp_path / "report.json")
    assert isinstance(read_report(written / "report.json"), Report)


def test_other_files_are_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text('{"format": "marginface.report/1"}')
    with pytest.raises(InputError, match="evaluate again"):
        regenerate(tmp_path / "report.json")
    (tmp_path / "report.json").write_text("no json")
    with pytest.raises(InputError, match="cannot be read"):
        regenerate(tmp_path / "report.json")


def test_the_card_of_a_system_lies_in_a_folder_of_its_name(written: Path) -> None:
    assert [path.parent.name for path in (written / "cards").rglob("README.md")] == ["b"]
