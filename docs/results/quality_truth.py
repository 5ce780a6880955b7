"""Which circumstances each quality score notices: rank correlations with the nuisances of people who do not exist.

    python docs/results/quality_truth.py FOLDER [NAME=MODEL ...]

Trains the demo's network with three margins on its 300 drawn people (FOLDER/drawn), and asks them, the models named
and the measures of pixels about 1,000 new pictures of 100 other drawn people. Runs that are finished are not repeated,
so that the script may be stopped and started again. Prints Markdown, the tables of docs/results/quality_truth.md, and
writes the picture beside this file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from marginface.drawn import DrawnPeople
from marginface.evaluation.quality_plots import truth_plot
from marginface.evaluation.quality_run import run_quality
from marginface.evaluation.quality_truth import Correlation
from marginface.models import load_model
from marginface.quality import QUALITY, usable_methods
from marginface.training.demo import draw_sets

HERE = Path(__file__).parent
PEOPLE, IMAGES, SEED = 100, 10, 11
MARGINS = {
    "ArcFace": {"kind": "arcface", "margin": 0.3},
    "MagFace": {"kind": "magface", "low_margin": 0.2, "high_margin": 0.5, "penalty_weight": 15.0},
    "AdaFace": {"kind": "adaface", "margin": 0.3, "ema_weight": 0.05},
}
Row = Mapping[str, Correlation]


def train(folder: Path, name: str) -> Path:
    """Return the model folder of the demo's network with one margin, trained unless it is there."""
    out = folder / "drawn" / name
    log = out / "log.jsonl"
    if not (log.exists() and '"event": "end"' in log.read_text(encoding="utf-8")):
        source, _ = draw_sets(folder / "drawn" / "data", show=lambda what, done, total: None, workers=2)
        words = ["--data.source", f"tar:{source}", "--head.margin", json.dumps(MARGINS[name]), "--evaluations", "[]"]
        command = [sys.executable, "-m", "marginface", "train", "demo", "--out", str(out), *words]
        command += ["--resume"] if out.exists() else []
        print(f"training {name} ...", file=sys.stderr, flush=True)
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return out / "model"


def print_table(title: str, rows: Mapping[str, Row]) -> None:
    """Print one column a score, one line a nuisance."""
    print(f"\n### {title}\n\n| nuisance | {' | '.join(rows)} |\n|{' --- |' * (1 + len(rows))}")
    for nuisance in next(iter(rows.values())):
        cells = [_cell(row[nuisance]) for row in rows.values()]
        print(f"| {nuisance.replace('_', ' ')} | {' | '.join(cells)} |")


def _cell(found: Correlation) -> str:
    sure = found.low > 0 or found.high < 0
    return f"{'**' if sure else ''}{found.value:+.2f}{'**' if sure else ''} [{found.low:+.2f}, {found.high:+.2f}]"


def main() -> None:
    """Train what is missing, ask every score, print the tables."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1]).resolve()
    models = {f"{name}, drawn people": train(folder, name) for name in MARGINS}
    models |= {name: Path(path) for name, _, path in (word.partition("=") for word in sys.argv[2:])}
    people = DrawnPeople(PEOPLE, IMAGES, seed=SEED)

    usable, _ = usable_methods(people)
    pixels = run_quality(people, usable).correlations
    asked: dict[str, dict[str, Row]] = {method: {} for method in ("norm", "stability", "dropout_stability")}
    for name, path in models.items():
        model = load_model(path)
        found = run_quality(people, [m for m in usable_methods(people, model=model)[0] if m in asked], model=model)
        for method, row in found.correlations.items():
            asked[method][name] = row
        print(f"asked {name}", file=sys.stderr, flush=True)

    print(f"{len(people):,} pictures of {PEOPLE} people, seed {SEED}; 95 % intervals over people in brackets.")
    for method, rows in asked.items():
        print_table(f"`{method}`: {QUALITY[method].meaning}", rows)
    print_table("Measures of pixels and landmarks", {method.replace("_", " "): row for method, row in pixels.items()})
    together = {f"norm, {name}": row for name, row in asked["norm"].items()} | dict(pixels)
    (HERE / "quality_truth.png").write_bytes(truth_plot(together).png)


if __name__ == "__main__":
    main()
