"""Thresholds on the terminal: rates in, a table and what the data cannot support out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from marginface.cli.arguments import table
from marginface.errors import InputError

if TYPE_CHECKING:
    from marginface.evaluation.calibrate import Calibration
    from marginface.metrics.thresholds import ThresholdEstimate


def rates_of(text: str) -> tuple[float, ...]:
    """Return the rates of `1e-3,1e-4`.

    Raises:
        InputError: a part is no number.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--fmr {text}: give rates with commas between them, such as 1e-3,1e-4.") from None


def print_thresholds(found: Calibration, *, title: str) -> None:
    """Print one row a rate, then what the data cannot support."""
    header = ("FMR", "same from", "95 % interval", "FMR seen", "FNMR there", "how")
    console = Console()
    console.print(table([_row(one) for one in found.estimates], header, title=title, numbers=True))
    for sentence in found.refusals:
        console.print(sentence, markup=False, highlight=False)


def _row(estimate: ThresholdEstimate) -> tuple[str, ...]:
    one = estimate
    if one.score is None or one.fnmr is None:
        return (f"{one.target_fmr:g}", "-", "-", "-", "-", "not supported")
    how = f"extrapolated, tail of {one.tail.num_excesses:,}" if one.tail else "measured"
    return (
        f"{one.target_fmr:g}",
        f"{one.score:.4f}",
        f"{one.low:.4f} to {one.high:.4f}",
        f"{one.achieved_fmr:.3g}",
        f"{100 * one.fnmr:.2f} %",
        how,
    )
