"""The page on protocols names every kind and every setting, and its Python runs."""

from __future__ import annotations

import re
from pathlib import Path

from marginface.protocols import PROTOCOLS

PAGE = (Path(__file__).parents[2] / "docs" / "protocols.md").read_text(encoding="utf-8")


def test_the_pages_code_runs():
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "docs/protocols.md", "exec"), {})


def test_the_page_names_every_protocol():
    named = set(re.findall(r"`([a-z0-9-]+)`", " ".join(re.findall(r"^\| (`.*?) \|", PAGE, flags=re.MULTILINE))))
    assert set(PROTOCOLS) <= named
