"""The page on memory and communication shows what the function says today."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_tables_are_those_that_the_command_prints() -> None:
    spec = importlib.util.spec_from_file_location("step_cost", ROOT / "benchmarks" / "step_cost.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (ROOT / "docs" / "memory-and-communication.md").read_text(encoding="utf-8")
    assert module.tables() in page, "run `python benchmarks/step_cost.py` and put its tables into the page"
