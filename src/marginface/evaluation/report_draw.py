"""A report's record becomes figures and a page: views of it and of the pictures, nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import words
from .page import render_page
from .plots import Plot, det_plot, histogram_plot, norm_plot
from .plots_discard import discard_plot
from .plots_groups import groups_plot
from .plots_searches import cmc_plot, open_set_plot
from .report_view import SetView, measures_of, overview, search_table, sets_of, system_names, verification_table
from .training_curves import training_plot


def draw(report: Mapping[str, Any]) -> dict[str, Plot]:
    """Return the figures of a report by name, in the order of the page."""
    found = [plot for view in sets_of(report) for plot in _draw_set(view)]
    if report["training"] is not None:
        found.append(training_plot(report["training"]))
    return {plot.name: plot for plot in found if plot is not None}


def render(report: Mapping[str, Any], *, plots: Mapping[str, Plot], pictures: Mapping[str, Mapping[str, str]]) -> str:
    """Return the page for a report record; `pictures` are addresses by set and key."""
    return render_page(
        "report_template.html",
        report=report,
        views=sets_of(report),
        overview=overview(report),
        columns=system_names(report),
        shared=_shared([r["provenance"] for r in report["systems"]]),
        plots=plots,
        pictures=pictures,
        words=words,
        measures_of=measures_of,
        search_table=search_table,
        verification_table=verification_table,
    )


def _draw_set(view: SetView) -> list[Plot | None]:
    records, prefix = view.records, view.prefix
    if view.is_search:
        return [
            cmc_plot(records, prefix=prefix),
            open_set_plot(records, prefix=prefix),
            discard_plot(records, prefix=prefix),
        ]
    return [
        det_plot(records, prefix=prefix),
        histogram_plot(records, prefix=prefix),
        norm_plot(view.main, prefix=prefix),
        discard_plot(records, prefix=prefix),
        groups_plot(view.main, prefix=prefix),
    ]


def _shared(provenances: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return what is the same for all systems, in the first one's order, so that the page says it once."""
    first, *others = provenances
    return {k: v for k, v in first.items() if v and all(other.get(k) == v for other in others)}
