"""Scores and what pyeer says of them: writes pyeer.json beside this file.

python3 -m venv pyeer && pyeer/bin/pip install pyeer==0.5.6 numpy==2.4.6
pyeer/bin/python tests/metrics/golden/make_pyeer.py
"""

import json
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
from pyeer.eer_info import get_eer_stats

OUT = Path(__file__).with_name("pyeer.json")
POINTS = ("fmr0", "fmr1000", "fmr100", "fmr20", "fmr10")


def bells(num_mated, num_non_mated, *, gap, decimals, seed):
    """Return two normals as lists of scores, mated first."""
    rng = np.random.default_rng(seed)
    return [
        np.round(rng.normal(mean, 1, number), decimals).tolist()
        for mean, number in ((gap, num_mated), (0.0, num_non_mated))
    ]


CASES = {
    "continuous": bells(300, 1000, gap=2.5, decimals=5, seed=0),
    "strong": bells(300, 3000, gap=4.0, decimals=5, seed=1),
    "ties": bells(60, 100, gap=2.0, decimals=1, seed=2),
    "few": [[0.9, 0.7, 0.4], [0.1, 0.3, 0.5, 0.2]],
    "equal numbers that cross": [[0.3, 0.6, 0.7, 0.9], [0.1, 0.2, 0.4, 0.65]],
    "perfect": [[0.8, 0.9, 0.95], [0.1, 0.2, 0.3, 0.3]],
    "the highest score is non-mated": [[0.8, 0.85, 0.9], [0.1, 0.2, 0.3, 0.95]],
    "all equal": [[0.5] * 4, [0.5] * 6],
}


def judged(mated, non_mated):
    """Return pyeer's numbers and its curve, all of it up to a hundred points, every fiftieth of more."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of curves that do not cross
        found = get_eer_stats(mated, non_mated)
    step = 1 if len(found.thrs) <= 100 else 50
    return {
        "eer": found.eer,
        "eer_low": found.eer_low,
        "eer_high": found.eer_high,
        "auc": found.auc,
        **{name: getattr(found, name) for name in POINTS},
        **{f"{name}_th": getattr(found, f"{name}_th") for name in POINTS},
        "decidability": found.decidability,
        "thresholds": list(found.thrs[::step]),
        "fmr": list(found.fmr[::step]),
        "fnmr": list(found.fnmr[::step]),
    }


if __name__ == "__main__":
    made = {
        "made_by": "tests/metrics/golden/make_pyeer.py",
        "pyeer": version("pyeer"),
        "numpy": version("numpy"),
        "cases": {
            name: {"mated": mated, "non_mated": non_mated, "expected": judged(mated, non_mated)}
            for name, (mated, non_mated) in CASES.items()
        },
    }
    OUT.write_text(json.dumps(made, default=float, indent=None, separators=(",", ":")) + "\n", encoding="utf-8")
