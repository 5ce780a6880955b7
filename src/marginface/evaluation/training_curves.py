"""What a training log says, thinned for a report, and its figure.

A log is JSON lines: `{"event": "step", "step", "epoch", "loss", "lr", "mean_norm", "mean_target_cos",
"images_per_second"}` and `{"event": "evaluation", "step", "name", "accuracy", "accuracy_low", "accuracy_high", "eer",
"eer_low", "eer_high"}`. Other events and missing fields are passed over.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.ticker
import numpy as np

from marginface.errors import InputError

from .plots import LINE_STYLES, SYSTEM_COLOURS, Plot, figure_of, finish, plot_style

logger = logging.getLogger(__name__)

STEP_FIELDS = ("loss", "lr", "mean_norm", "mean_target_cos", "images_per_second")
EVALUATION_FIELDS = ("accuracy", "accuracy_low", "accuracy_high", "eer", "eer_low", "eer_high")


def read_training_log(path: Path, *, max_points: int = 400) -> dict[str, Any]:
    """Return the curves of a training log as JSON-able columns, at most `max_points` of them.

    Thinning averages runs of neighbouring steps, so that the noise of single batches is not sampled at random. A last
    line that was cut off while it was written (a run still going, or killed) is passed over. Where a step occurs twice
    (a run resumed from an older checkpoint), the later line counts.

    Raises:
        InputError: no such file, or a line before the last one that is not JSON.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot read this training log ({error.strerror}).") from error
    steps: dict[int, dict[str, Any]] = {}
    evaluations: dict[tuple[str, int], dict[str, Any]] = {}
    for number, line in enumerate(lines, start=1):
        try:
            event = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):
                logger.warning("%s: the last line is cut off, and was passed over", path)
                break
            raise InputError(f"{path}: line {number} is not JSON; is this a training log?") from error
        if event.get("event") == "step":
            steps[int(event["step"])] = event
        elif event.get("event") == "evaluation":
            evaluations[str(event.get("name", "")), int(event["step"])] = event
    ordered = [steps[s] for s in sorted(steps)]
    return {
        "num_steps": len(ordered),
        "steps": _thin(ordered, max_points),
        "evaluations": [
            {"name": name, "step": step, **{f: _number(event.get(f)) for f in EVALUATION_FIELDS}}
            for (name, step), event in sorted(evaluations.items())
        ],
    }


def training_plot(curves: Mapping[str, Any]) -> Plot | None:
    """Return loss, held-out accuracy, true-class cosine and norm over the steps, or None for an empty log."""
    steps = curves["steps"]
    named = [
        ("loss", "Loss"),
        ("mean_target_cos", "Cosine to the true class centre"),
        ("mean_norm", "Mean norm of the embeddings"),
        ("lr", "Learning rate"),
    ]
    panels = [(f, t) for f, t in named if any(v is not None for v in steps[f])]
    evaluations = curves["evaluations"]
    if evaluations:
        panels.insert(1 if panels else 0, ("evaluations", "Errors on held-out people"))
    panels = panels[:4]
    if not panels:
        return None
    with matplotlib.rc_context(plot_style()):
        rows = math.ceil(len(panels) / 2)
        figure, axes_list = figure_of(6.6, 0.3 + 2.3 * rows, rows=rows, columns=min(2, len(panels)))
        for axes, (field, title) in zip(axes_list, panels, strict=False):
            axes.set_title(title)
            if panels.index((field, title)) + 2 >= len(panels):  # the lowest of each column
                axes.set_xlabel("Step")
            axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5, integer=True))
            if field == "evaluations":
                _draw_evaluations(axes, evaluations)
            else:
                pairs = [(s, v) for s, v in zip(steps["step"], steps[field], strict=True) if v is not None]
                at, values = np.array(pairs, dtype=np.float64).T
                axes.plot(at, values, color=SYSTEM_COLOURS[0], lw=0.8, alpha=0.35)
                axes.plot(at, _smooth(values), color=SYSTEM_COLOURS[0], lw=1.8)
            if field in ("loss", "mean_norm", "lr", "evaluations"):
                axes.set_ylim(0, 1.06 * axes.get_ylim()[1])
        for axes in axes_list[len(panels) :]:
            axes.set_visible(False)
        return finish(
            figure,
            name="training",
            title="Training",
            caption="Faint: averages of neighbouring steps; strong: smoothed."
            + (" Bands around errors are 95 % intervals." if evaluations else ""),
            alt=f"Curves over {curves['num_steps']:,} training steps: " + ", ".join(t.lower() for _, t in panels) + ".",
        )


def _draw_evaluations(axes: Any, evaluations: list[Mapping[str, Any]]) -> None:
    names = sorted({str(e["name"]) for e in evaluations})
    series = [(n, f) for n in names for f in ("eer", "accuracy")]
    for (name, field), look in zip(series, range(len(series)), strict=True):
        points = [e for e in evaluations if e["name"] == name and e[field] is not None]
        if not points:
            continue
        at = [p["step"] for p in points]
        value, low, high = (
            [1.0 - p[k] if field == "accuracy" else p[k] for p in points if p[k] is not None]
            for k in (field, f"{field}_low", f"{field}_high")
        )
        colour = SYSTEM_COLOURS[look % len(SYSTEM_COLOURS)]
        word = "EER" if field == "eer" else "1 - accuracy"
        axes.plot(
            at,
            value,
            color=colour,
            ls=LINE_STYLES[look % len(LINE_STYLES)],
            marker="o",
            ms=3.5,
            lw=1.6,
            label=f"{name} {word}".strip() if len(names) > 1 else word,
        )
        if len(low) == len(high) == len(at):
            axes.fill_between(at, low, high, color=colour, alpha=0.15, lw=0)
    axes.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    axes.legend(fontsize=8)


def _thin(events: list[dict[str, Any]], max_points: int) -> dict[str, list[float | int | None]]:
    """Return columns, each entry the mean of a run of neighbouring steps and placed at the run's last step."""
    runs = [list(r) for r in np.array_split(np.arange(len(events)), min(max_points, len(events)))] if events else []
    columns: dict[str, list[float | int | None]] = {"step": [int(events[run[-1]]["step"]) for run in runs]}
    for field in STEP_FIELDS:
        column: list[float | int | None] = []
        for run in runs:
            values = [v for v in (_number(events[i].get(field)) for i in run) if v is not None]
            column.append(math.fsum(values) / len(values) if values else None)
        columns[field] = column
    return columns


def _number(value: Any) -> float | None:
    """Return a finite float, or None: JSON has no NaN, and a curve has no place for one."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _smooth(values: Any) -> Any:
    """Return a centred running mean over a twentieth of the points, shrinking symmetrically at both ends."""
    half = max(len(values) // 40, 0)
    reach = np.minimum(np.minimum(np.arange(len(values)), np.arange(len(values))[::-1]), half)
    total = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    return (total[at + reach + 1] - total[at - reach]) / (2 * reach + 1)
