"""The example runs as a user would run it, and its network learns."""

import re
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_training_loop.py"


def test_a_head_in_a_loop_of_ones_own_learns():
    done = subprocess.run([sys.executable, EXAMPLE], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    cosines = [float(c) for c in re.findall(r"cosine (-?\d\.\d+)", done.stdout)]
    assert len(cosines) == 4
    assert cosines[-1] > cosines[0] + 0.1
