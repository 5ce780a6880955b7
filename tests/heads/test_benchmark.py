"""The benchmark of heads runs and prints what it promises."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "heads.py"


def _tables():
    spec = importlib.util.spec_from_file_location("heads_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TABLES


@pytest.mark.slow
def test_benchmark_prints_one_row_of_six_numbers_for_each_way():
    options = ["--classes", "3000", "--batch", "8", "--dim", "16", "--repetitions", "2", "--threads", "1"]
    done = subprocess.run([sys.executable, SCRIPT, *options], check=True, capture_output=True, text=True)
    printed = re.split(r"^(\w+): C = 3,000 .*\n", done.stdout, flags=re.MULTILINE)[1:]
    printed = dict(zip(printed[::2], printed[1::2], strict=True))
    assert printed.keys() == _tables().keys()
    for table, rows in _tables().items():
        for name in rows:
            (row,) = (line for line in printed[table].splitlines() if line.startswith(name))
            numbers = [float(text) for text in row.removeprefix(name).split() if text != "-"]  # no memory but on Linux
            assert len(numbers) in (4, 6)
            assert all(number >= 0 for number in numbers[:4])
