"""What quality scores are worth on LFW: error versus discard of our own MagFace and AdaFace models and published ones.

    python docs/results/quality.py FOLDER [NAME ...]

FOLDER/data has lfw.tar, lfw_pairs.txt and YuNet's file; FOLDER/runs the runs of docs/results/real_faces_magface.yaml
and real_faces_adaface.yaml; FOLDER/models published models as `marginface models import` writes them. Each system is
assessed once and kept in FOLDER/quality, so that the script may be stopped and started again. Prints Markdown, the
tables of docs/results/quality.md, and writes the curves (no faces) beside this file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from marginface.evaluation.quality_plots import discard_plot
from marginface.evaluation.quality_run import QualityRun, run_quality, write_quality
from marginface.evaluation.settings import EvaluationConfig
from marginface.images.yunet import YuNet
from marginface.models import load_model
from marginface.protocols import LfwConfig
from marginface.quality import assess, write_ofiq
from marginface.records.open import open_records
from marginface.records.select import subset

HERE = Path(__file__).parent
SYSTEMS = {
    "magface": ("runs/real_magface/model", "MobileFaceNet 48 px, MagFace"),
    "adaface": ("runs/real_adaface/model", "MobileFaceNet 48 px, AdaFace"),
    "mobilefacenet": ("models/mobilefacenet", "MobileFaceNet of bubbliiiing, 112 px"),
    "edgeface": ("models/edgeface", "EdgeFace-XXS, 112 px"),
}
OF_PIXELS = ["sharpness", "exposure", "contrast", "uniformity", "pose", "detector_confidence"]
"""The same for every system, so computed once."""
OF_EMBEDDINGS = ["norm", "dropout_stability"]
FMR = 1e-2


def judge(folder: Path, name: str) -> None:
    """Assess one system on the images of LFW's pairs, unless it is done."""
    out = folder / "quality" / name
    if (out / "quality.json").exists():
        return
    where, _ = SYSTEMS[name]
    source = open_records(f"tar:{folder / 'data/lfw.tar'}")
    pairs_file = folder / "data/lfw_pairs.txt"
    config = EvaluationConfig(
        name="lfw",
        data=source.location,
        protocol=LfwConfig(pairs_file=pairs_file),
        flip="none",
        fmr_targets=(FMR,),
        num_replicates=0,
    )
    pairs = config.protocol.plan(source)
    used = subset(source, np.union1d(pairs.left, pairs.right))
    pixels = folder / "quality" / "pixels.csv"
    if not pixels.exists():
        pixels.parent.mkdir(exist_ok=True)
        yunet = YuNet(folder / "data/weights/yunet/face_detection_yunet_2023mar.onnx")
        found = assess(used, OF_PIXELS, detector=yunet, progress=_told("pixels"))
        write_ofiq(pixels, found.keys, found.scores)
    run: QualityRun = run_quality(
        used,
        OF_EMBEDDINGS,
        model=load_model(folder / where),
        ofiq=pixels,
        protocols=[config],
        num_replicates=200,
        show=lambda what, done, total: _told(f"{name}: {what}")(done, total),
    )
    write_quality(out, run)
    plot = discard_plot(run.worth[0])  # curves, no faces
    (HERE / f"quality_{name}.png").write_bytes(plot.png)


def _told(what: str) -> Callable[[int, int], None]:
    return lambda done, total: print(f"{what} {done}/{total}", file=sys.stderr) if done % 640 == 0 else None


def print_table(folder: Path, name: str) -> None:
    """Print the areas of one system, the best first."""
    record: dict[str, Any] = json.loads((folder / "quality" / name / "quality.json").read_text(encoding="utf-8"))
    edc = record["error_versus_discard"]["lfw"]
    curves = sorted(edc["curves"].items(), key=lambda item: item[1]["fixed"]["area"])
    first = curves[0][1]["fixed"]
    print(f"\n### {SYSTEMS[name][1]}\n")
    print(
        f"{record['images']:,} images; {first['mated']:,} mated and {first['non_mated']:,} non-mated pairs; "
        f"with nothing left out FNMR at FMR {first['target_fmr']:g} is {first['random']:.2%}.\n"
    )
    print("| score | area, fixed threshold, % | gain | minus the best, points | area, retuned, % | gain |")
    print("| --- | --- | --- | --- | --- | --- |")
    for method, both in curves:
        fixed, retuned = both["fixed"], both["retuned"]
        minus = "the best" if method == edc["best"] else _ends(fixed["minus_best"])
        cells = [_area(fixed), f"{fixed['gain']:.2f}", minus, _area(retuned), f"{retuned['gain']:.2f}"]
        print(f"| {method.replace('_', ' ')} | {' | '.join(cells)} |")
    missing = {method: entry["missing"] for method, entry in record["methods"].items() if entry["missing"]}
    if missing:
        print(
            "\nWithout a value, and so the first to leave: " + ", ".join(f"{m} {n}" for m, n in missing.items()) + "."
        )


def _area(curve: dict[str, Any]) -> str:
    return f"{100 * curve['area']:.2f} {_ends(curve['area_interval'])}"


def _ends(interval: list[float]) -> str:
    return f"[{100 * interval[0]:.2f}, {100 * interval[1]:.2f}]"


def main() -> None:
    """Judge what is missing, then print the tables."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1]).resolve()
    names = sys.argv[2:] or list(SYSTEMS)
    for name in names:
        judge(folder, name)
    for name in names:
        print_table(folder, name)


if __name__ == "__main__":
    main()
