"""The page on reports runs as it stands, and its file of sets is one."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from marginface.config import load
from marginface.evaluation.suite import SuiteConfig

PAGE = (Path(__file__).parents[2] / "docs" / "report.md").read_text(encoding="utf-8")


def test_its_python_runs() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    exec(compile(block, "docs/report.md", "exec"), {})


def test_its_file_of_sets_is_read() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    suite = load(SuiteConfig, yaml.safe_load(block))
    assert [one.protocol.kind for one in suite.evaluations] == ["lfw", "gallery"]
