"""The benchmark of heads runs and prints what it promises."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "heads.py"


@pytest.mark.slow
def test_benchmark_prints_one_row_a_head():
    options = ["--classes", "3000", "--batch", "8", "--dim", "16", "--repetitions", "2", "--threads", "1"]
    done = subprocess.run([sys.executable, SCRIPT, *options], check=True, capture_output=True, text=True)
    for name in ("bare products", "dense, store", "dense, recompute", "plain torch"):
        (row,) = (line for line in done.stdout.splitlines() if line.startswith(name))
        assert len(row.removeprefix(name).split()) == 6
