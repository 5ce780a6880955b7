"""The page on heads does what it says."""

import dataclasses
import re
from pathlib import Path

import yaml

from marginface.config import load
from marginface.heads import HEADS

TEXT = (Path(__file__).parents[2] / "docs" / "heads.md").read_text(encoding="utf-8")


def _blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.M | re.S)


def test_its_python_prints_what_its_comments_say(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in _blocks("python"):
        exec(compile(block, "heads.md", "exec"), names)
        promised = re.findall(r"^print\(.*?\)  # (.+)$", block, flags=re.M)
        assert capsys.readouterr().out.splitlines() == promised


def test_its_yaml_loads():
    (recipe,) = (yaml.safe_load(block) for block in _blocks("yaml"))
    assert load(HEADS["sampled"], recipe["head"]).sub_centres == 3


def test_every_kind_and_every_shared_setting_is_on_it():
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line.startswith("|")]
    first_cells = {row[0].strip("`") for row in rows}
    assert set(HEADS) <= first_cells
    shared = set.intersection(*({f.name for f in dataclasses.fields(config)} for config in HEADS.values())) - {"kind"}
    assert shared <= first_cells
    for row in rows:
        if (name := row[0].strip("`")) in shared - {"margin", "spheres", "filter_above"}:
            assert row[1] == str(getattr(HEADS["dense"](), name)), name
