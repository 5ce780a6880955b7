"""The page of `marginface fit`: what became of the photographs, whether fine-tuning helped, and what to type next."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from marginface.evaluation import words
from marginface.evaluation.page import render_page


def fit_page(record: Mapping[str, Any], *, folder: Path) -> str:
    """Return the page of a record of `fit`, as HTML.

    Args:
        record: fit.json.
        folder: where it all lies, for the commands on the page.
    """
    return render_page(
        "fit_template.html",
        package=__package__,
        record=record,
        folder=str(folder),
        found={kind: number for kind, number in (record["findings"] or {}).items() if number},
        gains=[] if record["tuning"] is None else [_gain(gain) for gain in record["tuning"]["gains"]],
        headline=headline(record),
        words=words,
    )


def headline(record: Mapping[str, Any]) -> str:
    """Return the page's first sentence."""
    used = record["used"]
    people = f"{used['images']:,} photographs of {words.count_of(used['people'], 'person', 'people')} were used."
    what = "The model was fine-tuned." if record["model"]["tuned"] else "The model stays as it was."
    if not record["thresholds"]:
        return f"{people} {what} No threshold could be measured, so it gives scores and no decisions."
    rates = ", ".join(f"{one['target_fmr']:g}" for one in record["thresholds"])
    return f"{people} {what} It decides at a false match rate of {rates}."


def _gain(gain: Mapping[str, Any]) -> dict[str, str]:
    macro = gain["macro"]
    points = f"{100 * macro['value']:+.1f}"
    low, high = macro["low"], macro["high"]
    interval = "" if low is None else f"[{100 * low:+.1f}, {100 * high:+.1f}]"
    return {"by": gain["by"], "condition": gain["condition"], "points": points, "interval": interval}
