"""The pages on margins: every kind is there, defaults are the real ones, YAML loads, Python prints what it says."""

import dataclasses
import re
import runpy
from pathlib import Path

import pytest
import yaml

from marginface.config import load, read_recipe
from marginface.heads import HEADS, HeadSettings, SpheresConfig
from marginface.margins import MARGINS
from marginface.training.config import TrainConfig

DOCS = Path(__file__).parents[2] / "docs"
OVERVIEW = DOCS / "margins.md"
TEXT = OVERVIEW.read_text(encoding="utf-8")
SHARED = {"elasticface_arc": "elasticface", "elasticface_cos": "elasticface"}
PAGE_OF = {kind: DOCS / "margins" / f"{SHARED.get(kind, kind)}.md" for kind in MARGINS}
PAGES = [OVERVIEW, *dict.fromkeys(PAGE_OF.values())]
OF_HEADS = {  # methods that are settings of every head: what a page's recipe must have set
    "multiface": lambda head: head.spheres is not None,
    "sub_centre": lambda head: head.sub_centres > 1,
    "interclass_filtering": lambda head: head.filter_above is not None,
}
PAGES += [DOCS / "margins" / f"{name}.md" for name in OF_HEADS]

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
every_kind = pytest.mark.parametrize("kind", list(MARGINS))


def _blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)


def _table(text, heading, column):
    """Cells of each row of the table whose heading stands in this column."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    first = next(i for i, row in enumerate(rows) if len(row) > column and row[column] == heading) + 2
    last = next((i for i in range(first, len(rows)) if len(rows[i]) == 1), len(rows))
    return rows[first:last]


def _defaults(kind):
    config = MARGINS[kind]()
    return {f.name: str(getattr(config, f.name)) for f in dataclasses.fields(config) if f.name != "kind"}


def test_both_tables_have_every_margin():
    linked = [row[0] for row in _table(TEXT, "cosine of the true class becomes", 1)]
    assert linked == [f"[`{kind}`](margins/{PAGE_OF[kind].name})" for kind in MARGINS]
    assert re.findall(r"`(\w+)`", " ".join(row[0] for row in _table(TEXT, "source", 1))) == list(MARGINS)


@pytest.mark.parametrize(
    "row", _table(TEXT, "cosine of the true class becomes", 1), ids=lambda row: row[0][2:].split("`")[0]
)
def test_settings_and_defaults_of_the_overview_are_those_of_the_config(row):
    said = dict(re.findall(r"`(\w+)` = ([\w.]+)", row[2]))
    assert said == _defaults(row[0][2:].split("`")[0])


@every_kind
def test_settings_and_defaults_of_the_page_are_those_of_the_config(kind):
    text, defaults = PAGE_OF[kind].read_text(encoding="utf-8"), _defaults(kind)
    if not defaults:
        assert f"`kind: {kind}` has no settings" in text
        return
    rows = _table(text, f"setting of `{kind}`", 0)
    assert {row[0].strip("`"): row[1] for row in rows} == defaults
    assert all(row[2] for row in rows)


def test_no_page_is_left_over():
    assert sorted((DOCS / "margins").glob("*.md")) == sorted(PAGES[1:])


@every_page
def test_its_yaml_loads(page):
    blocks = _blocks(page.read_text(encoding="utf-8"), "yaml")
    kinds = set()
    for recipe in map(yaml.safe_load, blocks):
        kinds.add(load(HEADS[recipe["head"]["kind"]], recipe["head"]).margin.kind)
    assert kinds
    assert page not in PAGE_OF.values() or all(PAGE_OF[kind] == page for kind in kinds)


@every_page
def test_its_python_prints_what_it_says(page, capsys):
    """Comments that start a line, or follow a print, are what is printed."""
    for block in _blocks(page.read_text(encoding="utf-8"), "python"):
        expected = re.findall(r"^(?:print\(.*\)  )?# (.*)$", block, flags=re.M)
        exec(compile(block, page.name, "exec"), {})
        assert capsys.readouterr().out.splitlines() == expected
        assert expected or page == OVERVIEW


@every_kind
def test_the_recipes_it_names_train_with_it(kind):
    text = PAGE_OF[kind].read_text(encoding="utf-8")
    (names,) = re.findall(r"^\*\*Recipes?\*\*: (.*)\.$", text, flags=re.M)
    trained = {load(TrainConfig, read_recipe(name)).head.margin.kind for name in re.findall(r"`(\w+)`", names)}
    assert kind in trained
    assert all(PAGE_OF[other] == PAGE_OF[kind] for other in trained)


@pytest.mark.parametrize("name", list(OF_HEADS))
def test_pages_on_what_heads_add_name_defaults_and_a_recipe_that_sets_it(name):
    text = (DOCS / "margins" / f"{name}.md").read_text(encoding="utf-8")
    of_spheres = name == "multiface"
    config = SpheresConfig() if of_spheres else HeadSettings(kind="any")
    rows = _table(text, "setting of `spheres`" if of_spheres else "setting of the head", 0)
    assert all(str(getattr(config, row[0].strip("`"))) == row[1] for row in rows)
    assert len(rows) == (len(dataclasses.fields(config)) if of_spheres else 1)
    (recipe,) = re.findall(r"^\*\*Recipe\*\*: `(\w+)`\.$", text, flags=re.M)
    assert OF_HEADS[name](load(TrainConfig, read_recipe(recipe)).head)


@every_page
def test_its_links_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\(([^)#]*)(#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            file = (page.parent / target).resolve() if target else page
            assert file.exists(), target
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), flags=re.M) if anchor else []
            slugs = [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]
            assert not anchor or anchor[1:] in slugs, anchor


def test_the_picture_is_drawn_from_the_registry(tmp_path):
    runpy.run_path(str(DOCS / "images" / "draw_margins.py"))["main"](tmp_path / "margins.png")
    assert 20_000 < (tmp_path / "margins.png").stat().st_size < 150_000
