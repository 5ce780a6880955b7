"""Train every margin on real faces with the same recipe and budget, and print one table with intervals.

    python docs/results/real_margins.py FOLDER      # FOLDER/data has train355.tar, lfw.tar and lfw_pairs.txt

Runs go to FOLDER/runs/margins; those that are finished are not repeated, so it may be stopped and started again.
Prints Markdown: what docs/results/margins.md has. The last column is a paired difference: both systems judge the same
6,000 pairs, so pairs that both get right or wrong cancel; its interval takes pairs for independent (normal, 95 %).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from marginface import config as recipes
from marginface.evaluation.run import evaluate
from marginface.metrics.intervals import Interval
from marginface.metrics.kfold import k_fold_decisions
from marginface.metrics.summary import summarise
from marginface.models import load_model
from marginface.training.config import TrainConfig

BASELINE = "normface"
RECIPE = Path(__file__).with_name("real_margins.yaml").resolve()
SYSTEMS: dict[str, dict[str, object]] = {
    "softmax": {"margin": {"kind": "softmax"}, "scale": 1.0},
    "normface": {"margin": {"kind": "normface"}},
    "adacos": {"margin": {"kind": "adacos"}, "scale": "auto"},
    "sphereface": {"margin": {"kind": "sphereface", "angle_factor": 1.2}},
    "cosface": {"margin": {"kind": "cosface", "margin": 0.2}},
    "arcface": {"margin": {"kind": "arcface", "margin": 0.3}},
    "combined": {"margin": {"kind": "combined", "angle_margin": 0.15, "cosine_margin": 0.1}},
    "magface": {"margin": {"kind": "magface", "low_margin": 0.2, "high_margin": 0.5, "penalty_weight": 10.0}},
    "magcosface": {"margin": {"kind": "magcosface", "low_margin": 0.15, "high_margin": 0.45, "penalty_weight": 20.0}},
    "adaface": {"margin": {"kind": "adaface", "margin": 0.3, "ema_weight": 0.05}},
    "elasticface_arc": {"margin": {"kind": "elasticface_arc", "margin": 0.3}},
    "elasticface_cos": {"margin": {"kind": "elasticface_cos", "margin": 0.2}},
    "curricularface": {"margin": {"kind": "curricularface", "margin": 0.3}},
    "mv_softmax": {"margin": {"kind": "mv_softmax", "margin": 0.2}},
    "circle": {"margin": {"kind": "circle"}, "scale": 64.0},
    "cosface, 3 sub-centres": {"margin": {"kind": "cosface", "margin": 0.2}, "sub_centres": 3},
    "cosface, 2 spheres": {"margin": {"kind": "cosface", "margin": 0.1}, "spheres": {"count": 2}},
    "cosface, sampled at 0.3": {"margin": {"kind": "cosface", "margin": 0.2}, "kind": "sampled", "rate": 0.3},
    "cosface, filtered above 0.4": {"margin": {"kind": "cosface", "margin": 0.2}, "filter_above": 0.4},
}


COLUMNS = ("score", "mated", "fold", "identity_left", "identity_right")


class Judged(NamedTuple):
    """What LFW says of a system."""

    accuracy: tuple[float, Interval]
    eer: tuple[float, Interval]
    correct: npt.NDArray[np.bool_]
    """Whether each of the 6,000 pairs was judged rightly in the ten folds."""


def run_folder(folder: Path, name: str) -> Path:
    """Return where the run of one system lies."""
    return folder / "runs" / "margins" / name.replace(", ", "_").replace(" ", "_")


def train(folder: Path, name: str) -> None:
    """Train one system, unless it is done."""
    out = run_folder(folder, name)
    if finished(out):
        return
    head = json.dumps({"kind": "dense", "scale": 16.0, **SYSTEMS[name]})
    clip = ["--clip_norm", "5.0"]
    command = [sys.executable, "-m", "marginface", "train", str(RECIPE), "--out", str(out), "--head", head, *clip]
    if out.exists():
        command.append("--resume")
    print(f"{name} ...", file=sys.stderr, flush=True)
    subprocess.run(
        command, cwd=folder, check=True, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def finished(out: Path) -> bool:
    """Return whether a run has come to its end."""
    log = out / "log.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return any(json.loads(line)["event"] == "end" for line in lines)


def judged(folder: Path, name: str) -> Judged:
    """Return how a trained system does on LFW; its comparisons are kept beside the run, the intervals made anew."""
    kept = run_folder(folder, name) / "comparisons.npz"
    if not kept.exists():
        config = recipes.load(TrainConfig, recipes.read_recipe(run_folder(folder, name) / "recipe.yaml"))
        evaluation = replace(config.evaluations[0], num_replicates=0)
        made = evaluate(load_model(run_folder(folder, name) / "model"), evaluation).comparisons
        np.savez(kept, **{key: getattr(made, key) for key in COLUMNS})
    score, mated, folds, *people = (np.load(kept)[key] for key in COLUMNS)
    found = summarise(score, mated, identity_left=people[0], identity_right=people[1], folds=folds)
    accuracy = found.accuracy
    assert accuracy is not None
    assert accuracy.interval is not None
    assert found.equal_error_rate.interval is not None
    return Judged(
        (accuracy.num_correct / accuracy.num_pairs, accuracy.interval),
        (found.equal_error_rate.value, found.equal_error_rate.interval),
        k_fold_decisions(score, mated, folds).correct,
    )


def print_table(folder: Path) -> None:
    """Print the results so far, in the order of `SYSTEMS`."""
    print(f"| head | settings | LFW accuracy, % | EER, % | accuracy minus {BASELINE}'s |")
    print("| --- | --- | --- | --- | --- |")
    systems = {name: judged(folder, name) for name in SYSTEMS if finished(run_folder(folder, name))}
    for name, found in systems.items():
        head = SYSTEMS[name]
        margin = dict(head["margin"])  # type: ignore[call-overload]
        shown = {k: v for k, v in margin.items() if k != "kind"} | {k: v for k, v in head.items() if k == "scale"}
        settings = ", ".join(f"{key} {value}" for key, value in shown.items()) or "defaults"
        cells = [_with_interval(*found.accuracy), _with_interval(*found.eer), _difference(systems, name)]
        print(f"| {name} | {settings} | {' | '.join(cells)} |")


def _difference(systems: Mapping[str, Judged], name: str) -> str:
    if name == BASELINE or BASELINE not in systems:
        return "-"
    gain = systems[name].correct.astype(float) - systems[BASELINE].correct.astype(float)
    half = 1.96 * gain.std() / len(gain) ** 0.5
    return f"{100 * gain.mean():+.1f} [{100 * (gain.mean() - half):+.1f}, {100 * (gain.mean() + half):+.1f}]"


def _with_interval(value: float, interval: Interval) -> str:
    return f"{100 * value:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def main() -> None:
    """Train what is missing, then print the table."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1]).resolve()
    os.chdir(folder)  # paths of the recipe are relative to it
    for name in SYSTEMS:
        train(folder, name)
    print_table(folder)


if __name__ == "__main__":
    main()
