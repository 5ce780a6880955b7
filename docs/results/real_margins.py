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
from pathlib import Path

import numpy as np

from marginface import config as recipes
from marginface.evaluation.run import evaluate
from marginface.metrics.kfold import k_fold_decisions
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


def run_folder(folder: Path, name: str) -> Path:
    """Return where the run of one system lies."""
    return folder / "runs" / "margins" / name.replace(", ", "_").replace(" ", "_")


def train(folder: Path, name: str) -> None:
    """Train one system, unless it is done."""
    out = run_folder(folder, name)
    if result(out) is not None:
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


def result(out: Path) -> dict[str, float] | None:
    """Return the evaluation of a finished run."""
    log = out / "log.jsonl"
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
    if not any(line["event"] == "end" for line in lines):
        return None
    return next(line for line in reversed(lines) if line["event"] == "evaluation")


def decisions(folder: Path, name: str) -> np.ndarray:
    """Return whether each of LFW's 6,000 pairs was judged rightly in the ten folds; kept beside the run."""
    kept = run_folder(folder, name) / "decisions.npy"
    if not kept.exists():
        config = recipes.load(TrainConfig, recipes.read_recipe(run_folder(folder, name) / "recipe.yaml"))
        comparisons = evaluate(load_model(run_folder(folder, name) / "model"), config.evaluations[0]).comparisons
        np.save(kept, k_fold_decisions(comparisons.score, comparisons.mated, comparisons.fold).correct)
    return np.load(kept)


def print_table(folder: Path) -> None:
    """Print the results so far, in the order of `SYSTEMS`."""
    print(f"| head | settings | LFW accuracy, % | EER, % | accuracy minus {BASELINE}'s |")
    print("| --- | --- | --- | --- | --- |")
    for name, head in SYSTEMS.items():
        found = result(run_folder(folder, name))
        if found is None:
            continue
        margin = dict(head["margin"])  # type: ignore[call-overload]
        shown = {k: v for k, v in margin.items() if k != "kind"} | {k: v for k, v in head.items() if k == "scale"}
        settings = ", ".join(f"{key} {value}" for key, value in shown.items()) or "defaults"
        cells = [_with_interval(found, "accuracy"), _with_interval(found, "eer"), _difference(folder, name)]
        print(f"| {name} | {settings} | {' | '.join(cells)} |")


def _difference(folder: Path, name: str) -> str:
    if name == BASELINE or result(run_folder(folder, BASELINE)) is None:
        return "-"
    gain = decisions(folder, name).astype(float) - decisions(folder, BASELINE).astype(float)
    half = 1.96 * gain.std() / len(gain) ** 0.5
    return f"{100 * gain.mean():+.1f} [{100 * (gain.mean() - half):+.1f}, {100 * (gain.mean() + half):+.1f}]"


def _with_interval(found: dict[str, float], name: str) -> str:
    return f"{100 * found[name]:.1f} [{100 * found[name + '_low']:.1f}, {100 * found[name + '_high']:.1f}]"


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
