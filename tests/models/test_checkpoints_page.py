"""The page on published checkpoints does what it says."""

import re
from pathlib import Path

import torch

from marginface.cli.main import VERBS
from marginface.models.convert import FAMILIES, foreign_file

TEXT = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text(encoding="utf-8")


def test_its_python_prints_what_its_comments_say(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    for block in re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.M | re.S):
        exec(compile(block, "checkpoints.md", "exec"), names)
        promised = re.findall(r"^print\(.*?\)  # (.+)$", block, flags=re.M)
        assert capsys.readouterr().out.splitlines() == promised
    torch.set_num_threads(before)


def test_its_table_is_that_of_the_families():
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line.startswith("| `")
    ]
    assert [row[0].strip("`") for row in rows] == list(FAMILIES)
    words = {"rgb": "RGB", "bgr": "BGR", "minus_one_to_one": "[-1, 1]", "zero_to_one": "[0, 1]"}
    for row in rows:
        family = FAMILIES[row[0].strip("`")]
        if family.contract is not None:
            assert row[3] == ", ".join(words[word] for word in family.contract)
        else:
            assert "asked" in row[3]


def test_its_commands_and_limits_are_real():
    commands = re.findall(r"^marginface ((?:models )?\w+)", TEXT, flags=re.M)
    assert set(commands) <= set(VERBS)
    assert (
        f"may unpack to {foreign_file.MAX_EXPANSION} times its size and to {foreign_file.MAX_BYTES >> 30} GiB" in TEXT
    )


def test_its_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (Path(__file__).parents[2] / "docs" / target).is_file(), target
