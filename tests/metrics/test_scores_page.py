"""Every block of Python in `docs/scores-and-thresholds.md` runs, top to bottom, and its claims hold."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "scores-and-thresholds.md"


def test_the_pages_code_runs(capsys):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) >= 5
    names: dict = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert (
        "cannot support FMR 0.0001: 0.3 expected errors, 30 are needed; no number is given." in capsys.readouterr().out
    )
