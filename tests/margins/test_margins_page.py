"""The page on margins: every kind is on it, its defaults are the real ones, its YAML loads and its Python runs."""

import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from marginface.config import load
from marginface.heads import HEADS
from marginface.margins import MARGINS

TEXT = (Path(__file__).parents[2] / "docs" / "margins.md").read_text(encoding="utf-8")


def _blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.M | re.S)


def _table(heading):
    """Cells of each row of the table whose second column has this heading."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line.startswith("|")]
    first = next(i for i, row in enumerate(rows) if row[1] == heading) + 2
    last = next((i for i in range(first, len(rows)) if rows[i][0] == "kind"), len(rows))
    return rows[first:last]


def test_both_tables_have_every_margin():
    assert [row[0].strip("`") for row in _table("cosine of the true class becomes")] == list(MARGINS)
    assert re.findall(r"`(\w+)`", " ".join(row[0] for row in _table("source"))) == list(MARGINS)


@pytest.mark.parametrize("row", _table("cosine of the true class becomes"), ids=lambda row: row[0].strip("`"))
def test_settings_and_defaults_are_those_of_the_config(row):
    said = dict(re.findall(r"`(\w+)` = ([\w.]+)", row[2]))
    config = MARGINS[row[0].strip("`")]()
    assert said == {f.name: str(getattr(config, f.name)) for f in dataclasses.fields(config) if f.name != "kind"}


def test_its_yaml_loads():
    (recipe,) = (yaml.safe_load(block) for block in _blocks("yaml"))
    config = load(HEADS[recipe["head"]["kind"]], recipe["head"])
    assert config.margin == MARGINS["magface"](clamp="pull_in")


def test_its_python_runs(capsys):
    for block in _blocks("python"):
        exec(compile(block, "margins.md", "exec"), {})
    assert capsys.readouterr().out.startswith("22.58")
