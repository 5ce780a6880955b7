"""The benchmark of evaluation runs and prints what it promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "evaluation.py"


@pytest.mark.slow
def test_every_part_prints_its_time_beside_a_direct_one():
    words = [sys.executable, str(SCRIPT), "--scale", "0.02", "--direct-share", "0.5", "--threads", "1"]
    said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=250).stdout
    for part in ("ten-fold, 6,000 pairs", "IJB-C 1:1", "1:N", "all pairs of 2,000"):
        assert part in said
    assert "equal: True" in said
