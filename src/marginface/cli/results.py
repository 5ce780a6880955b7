"""Evaluations as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from marginface.cli.arguments import table
from marginface.evaluation import words
from marginface.evaluation.run import Evaluation


def print_results(evaluations: Sequence[Evaluation], *, console: Console | None = None) -> None:
    """Print one row a system, then what the data cannot support and how the intervals are made."""
    console = console or Console()
    records = [e.to_json() for e in evaluations]
    shown = [p["target_fmr"] for p in records[-1]["operating_points"] if p["support"] != "refused"]
    magface = any(record["accuracy_magface"] for record in records)
    folds = ("ten-fold accuracy", *(["by MagFace's convention"] if magface else []))
    header = ("system", "EER", *folds, *(f"FNMR at FMR {words.rate_name(rate)}" for rate in shown))
    rows = [_row(record, shown, magface) for record in records]
    counts = records[-1]["counts"]
    title = (
        f"{evaluations[-1].name}: {counts['mated']:,} mated and {counts['non_mated']:,} non-mated comparisons of "
        f"{counts['identities'] or '?'} people"
    )
    console.print(table(rows, header, title=title, numbers=True))
    for sentence in words.limits(records[-1]):
        console.print(sentence, markup=False, highlight=False)


def _row(record: dict[str, Any], rates: Sequence[float], magface: bool) -> tuple[str, ...]:
    by_rate = {p["target_fmr"]: p["fnmr"] for p in record["operating_points"]}
    cells = [
        record["eer"],
        record["accuracy"],
        *([record["accuracy_magface"]] if magface else []),
        *(by_rate.get(rate) for rate in rates),
    ]
    return (record["system"]["name"], *map(cell, cells))


def cell(estimate: dict[str, Any] | None) -> str:
    """Return a rate as a percentage above its interval, or - where there is none."""
    if estimate is None:
        return "-"
    return f"{words.percent_of(estimate)}\n{words.interval_of(estimate)}"
