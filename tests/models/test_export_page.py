"""The page on export does what it says."""

import re
from pathlib import Path

import torch

from marginface.cli.main import VERBS
from marginface.models.fast_path import MANY_IMAGES
from marginface.models.runtimes import RUNTIMES

TEXT = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")


def test_its_python_prints_what_its_comments_say(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    names: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.M | re.S):
        exec(compile(block, "export.md", "exec"), names)
        assert capsys.readouterr().out.splitlines() == re.findall(r"^print\(.*?\)  # (.+)$", block, flags=re.M)
    torch.set_num_threads(before)


def test_its_verbs_runtimes_and_links_are_real():
    assert set(re.findall(r"^marginface ((?:models )?\w+)", TEXT, flags=re.M)) <= set(VERBS)
    rows = [line.split("|")[1] for line in TEXT.splitlines() if line.startswith("| `")]
    assert {word for row in rows for word in re.findall(r"`(\w+)`", row)} >= set(RUNTIMES)
    assert f"{MANY_IMAGES:,} images or more" in TEXT
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (Path(__file__).parents[2] / "docs" / target).is_file(), target
