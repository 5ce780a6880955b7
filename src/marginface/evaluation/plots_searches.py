"""Figures of searches, drawn from identification records: cumulative matches, and FNIR against FPIR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes

from .plots import LINE_STYLES, Plot, figure_of, finish, looks_of, plot_style

Record = Mapping[str, Any]


def cmc_plot(records: Sequence[Record], *, prefix: str = "") -> Plot:
    """Return the share of mated searches that find their person among the first k, a curve a system and gallery."""
    with matplotlib.rc_context(plot_style()):
        figure, (axes,) = figure_of(6.6, 3.9)
        lowest, last = 1.0, 2
        for record, colour, own in _drawn_last(records):
            for gallery, style in _galleries(record, own, with_joined=True):
                rank, share = (np.asarray(gallery["cmc"][key], float) for key in ("rank", "share"))
                lowest = min(lowest, float(share[0]))
                last = max(last, gallery["entries"] or 2)
                width = 2.2 if record is records[-1] else 1.6
                axes.step(rank, share, where="post", color=colour, ls=style, lw=width, label=_label(record, gallery))
        axes.set_xscale("log")
        axes.set_xlim(1, min(last, 1000))
        axes.set_ylim(max(0.0, lowest - 0.12 * (1 - lowest) - 0.01), 1.0 + 0.02 * (1 - lowest) + 1e-3)
        axes.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda k, _: f"{k:,.0f}"))
        axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0, decimals=None, symbol=" %"))
        axes.set_xlabel("Rank: entries of the gallery that a person looks at")
        axes.set_ylabel("Mated searches that find their person")
        _legend(axes, "lower right")
        return finish(
            figure,
            name=f"{prefix}cmc",
            title="How far down the list the person stands",
            caption="Higher is better. The share of searches whose person is in the gallery and stands among the first "
            "k entries (CMC). It says nothing about strangers: somebody always stands first.",
            alt=f"Cumulative match curves of {_names(records)}.",
        )


def open_set_plot(records: Sequence[Record], *, prefix: str = "") -> Plot | None:
    """Return FNIR against FPIR on logarithmic axes, or None where no search is non-mated.

    The operating points carry their 95 % intervals; those of several galleries are averages over them.
    """
    if not any(gallery["open_set"] for record in records for gallery in record["galleries"]):
        return None
    with matplotlib.rc_context(plot_style()):
        figure, (axes,) = figure_of(6.6, 4.4)
        strangers = min(g["non_mated_searches"] for r in records for g in r["galleries"] if g["open_set"])
        low = 0.7 * max(1.0 / strangers, 1e-6)
        lowest = 1.0
        for record, colour, own in _drawn_last(records):
            for gallery, style in _galleries(record, own):
                curve = gallery["open_set"]
                if curve is None:
                    continue
                fpir, fnir = (np.asarray(curve[key], float) for key in ("fpir", "fnir"))
                lowest = min(lowest, float(fnir[fnir > 0].min(initial=1.0)))
                width = 2.2 if record is records[-1] else 1.6
                label = _label(record, gallery)
                axes.plot(np.clip(fpir, low, 1), fnir, color=colour, ls=style, lw=width, label=label)
            _draw_points(axes, record["average"] or record["galleries"][0], colour)
        if 3.0 / strangers > low:
            axes.axvspan(low, min(3.0 / strangers, 1), facecolor="#f3f4f6", edgecolor="#c9ced6", hatch="///", lw=0)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(low, 1)
        axes.set_ylim(min(max(lowest * 0.7, 1e-5), 0.09), 1.1)  # a decade at least, so that the axis has labels
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda rate, _: f"{100 * rate:g} %"))
            axis.set_minor_formatter(matplotlib.ticker.FuncFormatter(_two_or_five))
        axes.set_xlabel("FPIR: searches for strangers that name somebody")
        axes.set_ylabel("FNIR: mated searches that miss")
        _legend(axes, "lower left")
        return finish(
            figure,
            name=f"{prefix}open_set",
            title="Strangers named against people missed",
            caption="Lower and further left is better. Dots are the operating points of the table with their 95 % "
            "intervals. Hatched: fewer than three false positives are to be expected there.",
            alt=f"False negative against false positive identification rate of {_names(records)}.",
        )


def _two_or_five(rate: float, _: Any) -> str:
    """Return the label of 2 and 5 of a decade: an axis may hold less than one decade."""
    return f"{100 * rate:g} %" if f"{rate:e}"[0] in "25" else ""


def _draw_points(axes: Axes, rates: Record, colour: str) -> None:
    for point in rates["fnir_at_fpir"]:
        if point["fnir"] is None or not point["achieved_fpir"]["value"]:
            continue
        value, low, high = (point["fnir"][key] for key in ("value", "low", "high"))
        axes.errorbar(
            point["achieved_fpir"]["value"],
            value,
            yerr=[[max(value - low, 0.0)], [max(high - value, 0.0)]],
            fmt="o",
            ms=4.5,
            color=colour,
            capsize=3,
            lw=1.2,
            zorder=4,
        )


def _drawn_last(records: Sequence[Record]) -> list[tuple[Record, str, Any]]:
    """Return records with their looks, the report's subject last, so that it lies on top."""
    return list(zip(records, *looks_of(len(records)), strict=True))


def _galleries(record: Record, own: Any, *, with_joined: bool = False) -> list[tuple[Record, Any]]:
    """Return galleries with a line style each; that of the system where there is only one."""
    galleries = [*record["galleries"], *([record["joined"]] if with_joined and record["joined"] else [])]
    if len(galleries) == 1:
        return [(galleries[0], own)]
    return [(one, LINE_STYLES[i % len(LINE_STYLES)]) for i, one in enumerate(galleries)]


def _label(record: Record, gallery: Record) -> str:
    name = str(record["system"]["name"])
    return name if len(record["galleries"]) == 1 else f"{name}, {gallery['name']}"


def _legend(axes: Axes, place: str) -> None:
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc=place, frameon=True, framealpha=0.95, edgecolor="none", fontsize=8.5)


def _names(records: Sequence[Record]) -> str:
    return ", ".join(str(record["system"]["name"]) for record in records)
