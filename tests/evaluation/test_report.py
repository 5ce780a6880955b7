"""The page is one file that asks for nothing, says what the JSON says, and escapes what it is given."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from marginface.errors import InputError
from marginface.evaluation import report
from marginface.evaluation.plots import Plot
from marginface.evaluation.report import write_report
from marginface.evaluation.report_draw import draw, render
from marginface.evaluation.run import Evaluation
from tests.evaluation.made_up import evaluation, write_log

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Page(HTMLParser):
    """What a page asks for, and the numbers that stand in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.numbers: list[tuple[float, str]] = []
        self.without_alt = 0
        self._value: float | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "srcset", "data", "action", "poster")]
        self.without_alt += tag == "img" and not found.get("alt")
        if tag == "data":
            self._value = float(found["value"] or "nan")

    def handle_data(self, data: str) -> None:
        if self._value is not None:
            self.numbers.append((self._value, data))
            self._value = None


def systems(**settings: Any) -> list[Evaluation]:
    return [
        evaluation("raw pixels", separation=0.6, seed=1, **settings),
        evaluation("trained", separation=3.2, seed=3, **settings),
    ]


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the second that matplotlib takes, where only the words matter."""
    empty = {n: Plot(name=n, title=n, caption=n, alt=n, png=b"", svg=b"") for n in ("det", "scores")}
    monkeypatch.setattr(report, "draw", lambda record: empty)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    log = write_log(folder / "log.jsonl", steps=300)
    write_report(
        folder, systems(), title="Made up", training_log=log, notes=["A note."], recipe="seed: 1\n", created=NOON
    )
    return folder


def test_the_page_asks_for_nothing_from_outside(written: Path) -> None:
    html = (written / "report.html").read_text()
    page = Page(html)
    assert page.addresses
    assert all(a.startswith("data:image/") for a in page.addresses)
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    assert "@import" not in html
    assert "url(" not in html
    assert html.startswith("<!doctype html>")


def test_every_picture_has_words(written: Path) -> None:
    assert Page((written / "report.html").read_text()).without_alt == 0


def test_numbers_of_the_page_are_the_records_numbers(written: Path) -> None:
    page = Page((written / "report.html").read_text())
    found = json.loads((written / "report.json").read_text())
    shown = [value for value, _ in page.numbers]
    for system in found["systems"]:
        assert system["eer"]["value"] in shown
        assert system["accuracy"]["value"] in shown
        assert all(p["fnmr"]["value"] in shown for p in system["operating_points"] if p["fnmr"])
    main = found["systems"][-1]
    for point in main["operating_points"][:2]:
        assert {point["threshold"], point["achieved_fmr"]["errors"], point["fnmr"]["trials"]} <= set(shown)
    assert {p["score"] for kind in ("mated", "non_mated") for p in main["hardest"][kind]} <= set(shown)
    for value, text in page.numbers:  # and what a person reads is that number, rounded
        if "%" in text:
            digits = len(text.split("\u00a0")[0].partition(".")[2])
            assert float(text.split("\u00a0")[0]) == pytest.approx(100 * value, abs=0.5001 * 10**-digits)


def test_figures_are_written_as_png_and_svg(written: Path) -> None:
    names = {p.name for p in (written / "plots").iterdir()}
    assert names == {f"{n}.{s}" for n in ("det", "scores", "norms", "quality", "training") for s in ("png", "svg")}
    assert (written / "plots" / "det.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_is_a_view_of_the_json_and_drawing_again_gives_the_same_bytes(written: Path) -> None:
    found = json.loads((written / "report.json").read_text())
    assert render(found, plots=draw(found), pictures={}) == (written / "report.html").read_text()


@pytest.mark.usefixtures("undrawn")
def test_names_from_data_are_escaped(tmp_path: Path) -> None:
    mean = '<script>alert("1")</script>'
    found = evaluation(mean, person=mean)
    html = write_report(tmp_path, [found], title=mean, notes=[mean], recipe=mean).read_text()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 20  # title, notes, recipe, system, and the keys of the strips


@pytest.mark.usefixtures("undrawn")
def test_one_system_without_folds_and_training(tmp_path: Path) -> None:
    html = write_report(tmp_path, [evaluation("only", folds=False)], title="One").read_text()
    assert "Training" not in html
    assert "folds</th>" not in html
    assert json.loads((tmp_path / "report.json").read_text())["training"] is None


@pytest.mark.usefixtures("undrawn")
def test_a_refused_rate_says_so_instead_of_a_number(tmp_path: Path) -> None:
    html = write_report(tmp_path, systems(pairs=900), title="Few").read_text()
    assert html.count("too little data") == 4
    assert "900 non-mated pairs cannot support FMR 0.0001" in html


def test_a_rate_on_few_false_matches_is_marked(written: Path) -> None:
    found = json.loads((written / "report.json").read_text())
    assert [p["support"] for p in found["systems"][0]["operating_points"]] == ["supported", "thin", "refused"]
    assert (written / "report.html").read_text().count("†</span>") == 4  # two systems, the footnote, the threshold


@pytest.mark.usefixtures("undrawn")
def test_no_rate_supported_leaves_the_equal_error_rate(tmp_path: Path) -> None:
    html = write_report(tmp_path, [evaluation("tiny", pairs=100)], title="Tiny").read_text()
    assert "supports none of the false match rates" in html


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one evaluation"):
        write_report(tmp_path, [], title="None")
    with pytest.raises(InputError, match="Two systems are named 'trained'"):
        write_report(tmp_path, [evaluation("trained"), evaluation("trained")], title="Twins")
    with pytest.raises(InputError, match="different numbers of comparisons"):
        write_report(tmp_path, [evaluation("a"), evaluation("b", pairs=500)], title="Unequal")
