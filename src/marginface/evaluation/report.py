"""The report: one HTML page to send to a colleague, its JSON record beside it, and the figures as files.

The JSON is the record; the page is a view of it and of the pictures, nothing else. The page asks for nothing from
outside: figures and faces stand in it as `data:` addresses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from marginface.errors import InputError, WorkError
from marginface.records.record import RecordSource

from . import words
from .page import render_page
from .pair_strips import strip_keys, thumbnails
from .plots import Plot, det_plot, histogram_plot, norm_plot
from .training_curves import read_training_log, training_plot

FORMAT = "marginface.report/1"


class HasRecord(Protocol):
    """What the report needs of an evaluation."""

    def to_json(self) -> dict[str, Any]: ...


def write_report(
    folder: Path,
    evaluations: Sequence[HasRecord],
    *,
    title: str,
    training_log: Path | None = None,
    sources: Sequence[RecordSource] = (),
    notes: Sequence[str] = (),
    recipe: str | None = None,
    created: datetime | None = None,
) -> Path:
    """Write `report.html`, `report.json` and `plots/*.png`, `plots/*.svg` into `folder`; return the page's path.

    Args:
        folder: made if it is missing; files of an earlier report in it are replaced.
        evaluations: systems on the same comparisons, baselines first; the last is the one the report is about.
        title: heading of the page.
        training_log: JSON lines of the run that made the last system, for its curves.
        sources: where the pictures of the hardest pairs come from; without them the strips show names and scores only.
        notes: sentences under the table: what stands in for what, what was changed.
        recipe: the resolved recipe as YAML text, shown folded at the end.
        created: time of the report, UTC; now unless given.

    Raises:
        WorkError: the folder cannot be written.
        InputError: no evaluation, two systems of one name, or systems judged on different numbers of comparisons.
    """
    records = [e.to_json() for e in evaluations]
    _check(records)
    moment = (created or datetime.now(UTC)).astimezone(UTC)
    report = {
        "format": FORMAT,
        "title": title,
        "created": moment.isoformat(timespec="seconds"),
        "marginface_version": metadata.version("marginface"),
        "headline": words.headline(records[-1], records[:-1]),
        "limits": words.limits(records[-1]),
        "notes": list(notes),
        "systems": records,
        "training": read_training_log(training_log) if training_log is not None else None,
        "recipe": recipe,
    }
    plots = draw(report)
    pictures = thumbnails(strip_keys(records[-1:]), sources)
    text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
    html = render(report, plots=plots, pictures=pictures)
    page = folder / "report.html"
    try:
        (folder / "plots").mkdir(parents=True, exist_ok=True)
        for plot in plots.values():
            (folder / "plots" / f"{plot.name}.png").write_bytes(plot.png)
            (folder / "plots" / f"{plot.name}.svg").write_bytes(plot.svg)
        (folder / "report.json").write_text(text + "\n", encoding="utf-8")
        page.write_text(html, encoding="utf-8")
    except OSError as error:
        raise WorkError(f"{folder}: the report cannot be written ({error.strerror}); choose another folder.") from error
    return page


def draw(report: Mapping[str, Any]) -> dict[str, Plot]:
    """Return the figures of a report by name, in the order of the page."""
    records = report["systems"]
    found = [det_plot(records), histogram_plot(records), norm_plot(records[-1])]
    if report["training"] is not None:
        found.append(training_plot(report["training"]))
    return {plot.name: plot for plot in found if plot is not None}


def render(report: Mapping[str, Any], *, plots: Mapping[str, Plot], pictures: Mapping[str, str]) -> str:
    """Return the page for a report record."""
    records = report["systems"]
    return render_page(
        "report_template.html",
        report=report,
        main=records[-1],
        shared=_shared([r["provenance"] for r in records]),
        plots=plots,
        pictures=pictures,
        words=words,
    )


def _shared(provenances: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return what is the same for all systems, in the first one's order, so that the page says it once."""
    first, *others = provenances
    return {k: v for k, v in first.items() if v and all(other.get(k) == v for other in others)}


def _check(records: Sequence[Mapping[str, Any]]) -> None:
    if not records:
        raise InputError("A report needs at least one evaluation.")
    names = [r["system"]["name"] for r in records]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise InputError(f"Two systems are named {twice[0]!r}; a report tells systems apart by name.")
    sizes = {(r["counts"]["mated"], r["counts"]["non_mated"]) for r in records}
    if len(sizes) > 1:
        raise InputError(
            "The systems were judged on different numbers of comparisons, so one table would mislead; "
            "evaluate them on the same pairs."
        )
