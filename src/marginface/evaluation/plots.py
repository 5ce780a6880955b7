"""The report's figures, drawn from evaluation records: DET curves, score histograms, norms.

Every function takes plain records (see `record.py`) and returns a `Plot`: PNG and SVG bytes with the words that go
with them. The object interface of matplotlib is used throughout, so that nothing global is touched, and everything
that would make two runs differ (dates, random ids) is switched off.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import matplotlib.ticker
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from scipy.special import ndtri

from . import words

# Okabe & Ito (2008): told apart with every common kind of colour vision. The system the report is about is the first.
SYSTEM_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8A6D00", "#56B4E9")
LINE_STYLES = ("-", (0, (5, 2)), (0, (1, 1.4)), "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 3)))
MATED, NON_MATED = "#0072B2", "#D55E00"
INK, FAINT = "#1f2328", "#8c959f"

_STYLE = {
    "font.size": 9.5,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same bytes on every machine
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e7eb",
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "marginface",
    "savefig.facecolor": "white",
    "figure.facecolor": "white",
}


@dataclass(frozen=True, kw_only=True)
class Plot:
    """One figure, with the words for those who read it and for those who cannot see it."""

    name: str
    """File name without suffix."""
    title: str
    caption: str
    alt: str
    png: bytes
    svg: bytes


def det_plot(records: Sequence[Mapping[str, Any]], *, prefix: str = "") -> Plot:
    """Return the DET curves of all systems on normal-deviate axes; the last record is the report's subject.

    The operating points carry their 95 % intervals. Where fewer than three false matches are to be expected, the
    background is hatched: a curve there shows single comparisons, not a rate.
    """
    with matplotlib.rc_context(plot_style()):
        figure, (axes,) = figure_of(6.6, 5.4)
        finest = min(1.0 / max(r["counts"]["non_mated"], 1) for r in records)
        low = max(min(finest, 1e-2), 1e-6) * 0.7
        low_y = min(_lowest_fnmr(records), 1e-2)
        for record, colour, style in reversed(list(zip(records, *looks_of(len(records)), strict=True))):
            curve = record["det"]
            fmr, fnmr = np.asarray(curve["fmr"], float), np.asarray(curve["fnmr"], float)
            axes.plot(
                _deviate(fmr, low),
                _deviate(fnmr, low_y),
                color=colour,
                ls=style,
                lw=2.2 if record is records[-1] else 1.6,
                label=record["system"]["name"],
            )
            for point in record["operating_points"]:
                if point["fnmr"] is None:
                    continue
                x = _deviate(np.array([point["achieved_fmr"]["value"]]), low)[0]
                y, below, above = _deviate(np.array([point["fnmr"][k] for k in ("value", "low", "high")]), low_y)
                axes.errorbar(
                    x, y, yerr=[[y - below], [above - y]], fmt="o", ms=4.5, color=colour, capsize=3, lw=1.2, zorder=4
                )
        left, bottom = ndtri(low), ndtri(low_y)
        axes.set_xlim(left, ndtri(0.6))
        axes.set_ylim(bottom, ndtri(0.99))
        least = 3.0 / max(records[-1]["counts"]["non_mated"], 1)
        if least > low:
            axes.axvspan(left, ndtri(min(least, 0.6)), facecolor="#f3f4f6", edgecolor="#c9ced6", hatch="///", lw=0)
        _rate_ticks(axes, low, 0.6, low_y, 0.99)
        equal = np.array([max(left, bottom), ndtri(0.6)])
        axes.plot(equal, equal, color=FAINT, lw=0.8, zorder=1)
        axes.annotate("equal error", (ndtri(0.52), ndtri(0.56)), color="#57606a", fontsize=8, ha="right")
        axes.set_xlabel("False match rate: strangers taken for the same person")
        axes.set_ylabel("False non-match rate: true pairs refused")
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(handles[::-1], labels[::-1], loc="upper right", frameon=True, framealpha=0.95, edgecolor="none")
        names = ", ".join(str(r["system"]["name"]) for r in records)
        return finish(
            figure,
            name=f"{prefix}det",
            title="Detection error trade-off",
            caption="Lower and further left is better. Dots are the operating points of the table with their 95 % "
            "intervals. Axes are stretched so that normally distributed scores give straight lines. Hatched: fewer "
            "than three false matches are to be expected there, so the curve shows single comparisons.",
            alt=f"DET curves of {names}: false non-match rate against false match rate.",
        )


def histogram_plot(records: Sequence[Mapping[str, Any]], *, prefix: str = "") -> Plot:
    """Return the score distributions of mated and non-mated comparisons, one panel a system, thresholds drawn."""
    with matplotlib.rc_context(plot_style()):
        figure, panels = figure_of(6.6, 0.3 + 2.0 * len(records), rows=len(records))
        for axes, record in zip(panels, records[::-1], strict=True):  # the report's subject on top
            _draw_histogram(axes, record)
        panels[0].legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, fontsize=8.5, borderpad=0.1)
        what = "as the file has it" if records[-1]["protocol"]["kind"] == "scores" else "cosine of the two embeddings"
        panels[-1].set_xlabel(f"Score ({what}; higher is more alike)")
        return finish(
            figure,
            name=f"{prefix}scores",
            title="Scores of the same person and of different people",
            caption="The further the two shapes stand apart, the better. Each shape sums to 100 %. The dashed line is "
            f"the threshold of the sentence at the top of {'this set' if prefix else 'the page'}. Each system has its "
            "own range of scores.",
            alt="Histograms of mated and non-mated scores with the threshold of each system.",
        )


def _draw_histogram(axes: Axes, record: Mapping[str, Any]) -> None:
    edges = np.asarray(record["scores"]["edges"], float)
    for kind, colour, hatch in (("non_mated", NON_MATED, None), ("mated", MATED, "////")):
        counts = np.asarray(record["scores"][kind], float)
        share = counts / max(counts.sum(), 1.0)
        word = "different people" if kind == "non_mated" else "same person"
        axes.stairs(share, edges, fill=True, color=colour, alpha=0.22, lw=0, hatch=hatch)
        axes.stairs(share, edges, color=colour, lw=1.4, label=f"{word} ({int(counts.sum()):,})")
    left, right = _range_of_scores(record)
    point = record["headline_point"]
    if point is not None:
        axes.axvline(point["threshold"], color=INK, lw=1.2, ls=(0, (4, 2)))
        far_right = point["threshold"] > left + 0.75 * (right - left)
        axes.annotate(
            f"threshold {words.score_of(point['threshold'], record)}",
            (point["threshold"], 0.98),
            xycoords=("data", "axes fraction"),
            xytext=(-4 if far_right else 4, 0),
            textcoords="offset points",
            ha="right" if far_right else "left",
            va="top",
            fontsize=8.5,
        )
    axes.set_title(record["system"]["name"])
    axes.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    axes.set_ylabel("share", fontsize=8.5)
    axes.set_xlim(left, right)
    axes.set_ylim(0, 1.25 * max(axes.get_ylim()[1], 1e-9))  # head room for the threshold's name


def norm_plot(record: Mapping[str, Any], *, prefix: str = "") -> Plot | None:
    """Return the distribution of embedding norms and norm against score, or None where all norms are alike."""
    norms = record["norms"]
    if norms is None or norms["max"] - norms["min"] <= 1e-3 * max(abs(norms["max"]), 1e-12):
        return None
    with matplotlib.rc_context(plot_style()):
        figure, (left, right) = figure_of(6.6, 3.1, columns=2)
        left.stairs(norms["counts"], norms["edges"], fill=True, color=SYSTEM_COLOURS[2], alpha=0.3)
        left.stairs(norms["counts"], norms["edges"], color=SYSTEM_COLOURS[2], lw=1.4)
        left.axvline(norms["median"], color=INK, lw=1.1, ls=(0, (4, 2)))
        left.set_title("All images")
        left.set_xlabel("Norm of the embedding")
        left.set_ylabel("Images")
        left.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5, integer=True))
        for kind, colour, marker in (("non_mated", NON_MATED, "x"), ("mated", MATED, "o")):
            sample = norms["pairs"][kind]
            word = "different people" if kind == "non_mated" else "same person"
            right.scatter(
                sample["norm"], sample["score"], s=9, c=colour, marker=marker, alpha=0.45, linewidths=0.8, label=word
            )
        right.set_title("Pairs")
        right.set_xlabel("Smaller norm of the pair")
        right.set_ylabel("Score")
        low, high = right.get_ylim()
        right.set_yticks([tick for tick in right.get_yticks() if low <= tick <= high])
        right.set_ylim(low, high + 0.18 * (high - low))  # room for the legend above the points
        right.ticklabel_format(useOffset=False)
        right.legend(loc="upper left", fontsize=8.5, markerscale=1.6, ncols=2, columnspacing=1, handletextpad=0.2)
        return finish(
            figure,
            name=f"{prefix}norms",
            title="Norms of the embeddings",
            caption="Left: the length of each image's embedding, dashed at the median. Right: a sample of the "
            "comparisons. Where the same person's scores rise with the norm, the norm carries image quality.",
            alt="Histogram of embedding norms, and score against the smaller norm of each pair.",
        )


# -- shared by the figures ------------------------------------------------------------------------------------------


def plot_style() -> dict[str, Any]:
    """Return the matplotlib settings of every figure: quiet, on white, the same on every machine."""
    return dict(_STYLE)


def figure_of(
    width: float, height: float, *, rows: int = 1, columns: int = 1, sharex: bool = False
) -> tuple[Figure, list[Axes]]:
    """Return a figure of `width` by `height` inches and its axes, row by row."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, sharex=sharex).flat)


def finish(figure: Figure, *, name: str, title: str, caption: str, alt: str) -> Plot:
    """Return the drawn figure as PNG and SVG bytes that do not depend on when or where they were made."""
    png, svg = io.BytesIO(), io.BytesIO()
    figure.set_dpi(150)
    FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})
    figure.set_dpi(72)
    FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None, "Creator": None})
    return Plot(name=name, title=title, caption=caption, alt=alt, png=png.getvalue(), svg=svg.getvalue())


def looks_of(count: int) -> tuple[list[str], list[Any]]:
    """Return colours and line styles such that the last system, the report's subject, has the first of each."""
    order = [(count - 1 - i) % len(SYSTEM_COLOURS) for i in range(count)]
    return [SYSTEM_COLOURS[i] for i in order], [LINE_STYLES[i] for i in order]


def _deviate(rate: npt.NDArray[np.float64], low: float) -> npt.NDArray[np.float64]:
    return np.asarray(ndtri(np.clip(rate, low, 1.0 - 1e-6)), dtype=np.float64)


def _lowest_fnmr(records: Sequence[Mapping[str, Any]]) -> float:
    return float(min(max(1.0 / max(r["counts"]["mated"], 1), 1e-6) for r in records))


def _rate_ticks(axes: Axes, low_x: float, high_x: float, low_y: float, high_y: float) -> None:
    rates = np.array([1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.97])
    for axis, low, high in ((axes.xaxis, low_x, high_x), (axes.yaxis, low_y, high_y)):
        shown = rates[(rates >= low) & (rates <= high)]
        axis.set_ticks(ndtri(shown), [f"{100 * r:g} %" for r in shown])


def _range_of_scores(record: Mapping[str, Any]) -> tuple[float, float]:
    """Return the range that holds all but a thousandth of both shapes: single outliers would squeeze the rest."""
    edges = np.asarray(record["scores"]["edges"], float)
    lows, highs = [], []
    for kind in ("mated", "non_mated"):
        counts = np.asarray(record["scores"][kind], float)
        share = np.cumsum(counts) / max(counts.sum(), 1.0)
        lows.append(float(edges[int(np.searchsorted(share, 1e-3))]))
        highs.append(float(edges[min(int(np.searchsorted(share, 1 - 1e-3)) + 1, len(edges) - 1)]))
    margin = 0.03 * (max(highs) - min(lows))
    return min(lows) - margin, max(highs) + margin
