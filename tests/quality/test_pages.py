"""Every block of Python in docs/quality.md and docs/thresholds.md runs, and the table names every method."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from marginface.quality import QUALITY

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["quality.md", "thresholds.md"])
def test_the_pages_code_runs(page):
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), {})


def test_the_table_names_every_method():
    named = re.findall(r"^\| `(\w+)` \|", (DOCS / "quality.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert named == list(QUALITY)
