"""Figures of image quality: images sorted by it, its distribution, error versus discard, agreement with known truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import matplotlib
import matplotlib.ticker
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from marginface.images.decode import decode_image
from marginface.metrics.discard import DiscardCurve
from marginface.records.record import RecordSource

from .plots import FAINT, INK, LINE_STYLES, SYSTEM_COLOURS, Plot, figure_of, finish, plot_style
from .quality_run import QualityRun, Worth
from .quality_truth import Correlation
from .words import slug

SIDE, GAP, LINE = 112, 6, 22
"""Of an image, the space between two, and the space for a number, pixels."""
_FONT = (cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)
SHOWN_DISCARD = 0.6
"""Share of discarded comparisons up to which curves are drawn: beyond, few errors decide."""


def write_pictures(folder: Path, run: QualityRun, source: RecordSource) -> None:
    """Write a sheet of sorted images for each method, and all figures that the run has numbers for, as PNG."""
    for name in run.scores:
        (folder / f"sorted-{name}.png").write_bytes(sorted_images(run, source, name))
    plots = [histograms(run)]
    plots += [discard_plot(worth, among_several=len(run.worth) > 1) for worth in run.worth]
    if run.correlations:
        plots.append(truth_plot(run.correlations))
    for plot in plots:
        (folder / f"{plot.name}.png").write_bytes(plot.png)


def sorted_images(run: QualityRun, source: RecordSource, method: str, *, columns: int = 10, rows: int = 4) -> bytes:
    """Return a PNG of images at evenly spaced ranks, the lowest quality first, each with its score below it."""
    values = run.scores[method]
    found = np.flatnonzero(np.isfinite(values))
    order = found[np.argsort(values[found], kind="stable")]
    chosen = order[np.unique(np.linspace(0, len(order) - 1, min(columns * rows, len(order))).round().astype(int))]
    place = {key: i for i, key in enumerate(source.keys)}
    across, down = SIDE + GAP, SIDE + LINE
    num_rows = -(-len(chosen) // columns)
    sheet = np.full((num_rows * down + GAP, columns * across + GAP, 3), 255, np.uint8)
    for number, i in enumerate(chosen):
        top, left = GAP + (number // columns) * down, GAP + (number % columns) * across
        sheet[top : top + SIDE, left : left + SIDE] = _tile(source, place[run.assessment.keys[i]])
        text = f"{values[i]:.4g}"
        (width, _), _ = cv2.getTextSize(text, *_FONT)
        corner = (left + (SIDE - width) // 2, top + SIDE + LINE - 8)
        cv2.putText(sheet, text, corner, *_FONT[:2], (31, 35, 40), _FONT[2], cv2.LINE_AA)
    _, encoded = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    return encoded.tobytes()


def histograms(run: QualityRun) -> Plot:
    """Return the distribution of each score over the images."""
    columns = min(3, len(run.scores))
    rows = -(-len(run.scores) // columns)
    with matplotlib.rc_context(plot_style()):
        figure, panels = figure_of(2.4 * columns + 0.6, 1.7 * rows + 0.3, rows=rows, columns=columns)
        for axes, (name, values) in zip(panels, run.scores.items(), strict=False):
            finite = values[np.isfinite(values)]
            axes.hist(finite, bins=40, color=SYSTEM_COLOURS[0], alpha=0.35, histtype="stepfilled")
            axes.hist(finite, bins=40, color=SYSTEM_COLOURS[0], histtype="step", lw=1.3)
            axes.axvline(float(np.median(finite)), color=INK, lw=1.1, ls=(0, (4, 2)))
            axes.set_title(name.replace("_", " "))
            axes.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(4, integer=True))
            axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(4))
            axes.tick_params(labelsize=8)
        for axes in panels[len(run.scores) :]:
            axes.set_axis_off()
        panels[0].set_ylabel("images")
        return finish(
            figure,
            name="histograms",
            title="Distribution of the scores",
            caption=f"{len(run.assessment):,} images; dashed the median. Each score has its own scale.",
            alt="Histogram of each quality score.",
        )


def discard_plot(worth: Worth, *, among_several: bool = False) -> Plot:
    """Return the curves of all methods on one protocol; of comparisons, with the threshold retuned on the right.

    Args:
        worth: of all methods.
        among_several: name the figure after the protocol.
    """
    order = sorted(worth.curves, key=lambda name: worth.curves[name][0].area or 0.0)
    first = worth.curves[order[0]]
    titles = ("Threshold fixed on all pairs", "Threshold retuned on what is left")[: len(first)]
    with matplotlib.rc_context(plot_style()):
        figure, panels = figure_of(4.6 * len(first) + (0 if len(first) > 1 else 1.6), 4.6, columns=len(first))
        for rule, (axes, title) in enumerate(zip(panels, titles, strict=True)):
            _draw_curves(axes, [(name, worth.curves[name][rule]) for name in order])
            axes.set_title(title if len(first) > 1 else worth.name)
            axes.set_xlabel(f"{worth.left_out[0].upper()}{worth.left_out[1:]} left out, worst quality first")
            axes.set_ylim(*_heights([worth.curves[name][rule] for name in order]))
        panels[0].set_ylabel(worth.errors.replace("\u00a0", " "))
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4 if len(first) > 1 else 3, fontsize=8.5)
        others = f" and {first[0].num_non_mated:,} non-mated comparisons" if first[0].num_non_mated else " searches"
        retuned = " A retuned curve stops where fewer than three false matches are to be expected."
        return finish(
            figure,
            name=f"error-versus-discard{f'-{slug(worth.name)}' if among_several else ''}",
            title="Error versus discard",
            caption=f"{worth.recogniser} on {worth.protocol}: {first[0].num_mated:,} mated{others}; "
            f"{worth.quality_of}. Lower is better; the axis may start above 0. The band is the 95 % one of "
            f"{order[0].replace('_', ' ')}; the grey area counts for the partial area."
            f"{retuned if len(first) > 1 else ''}",
            alt="Errors against the share left out by each quality score, with ideal and random bounds.",
        )


def _draw_curves(axes: Axes, curves: Sequence[tuple[str, DiscardCurve]]) -> None:
    best = curves[0][1]
    axes.axvspan(0, best.area_limit, color="#f3f4f6", lw=0)
    axes.fill_between(best.discarded, best.low, best.high, color=SYSTEM_COLOURS[0], alpha=0.13, lw=0)
    for i, (name, curve) in enumerate(curves):
        colour = SYSTEM_COLOURS[i % len(SYSTEM_COLOURS)]
        style = LINE_STYLES[(i // len(SYSTEM_COLOURS)) % len(LINE_STYLES)]
        axes.plot(curve.discarded, curve.fnmr, color=colour, ls=style, lw=1.7, label=name.replace("_", " "))
    axes.axhline(best.random, color=FAINT, lw=1.1, ls=(0, (4, 2)), label="at random")
    if best.rule == "fixed":
        axes.plot(best.discarded, best.ideal, color=INK, lw=1.1, ls=(0, (1, 1.5)), label="ideal")
    axes.set_xlim(0, SHOWN_DISCARD)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0, decimals=None, symbol=" %"))


def _heights(curves: Sequence[DiscardCurve]) -> tuple[float, float]:
    """Return the range that holds all curves in sight with room around; from 0 on where that squeezes nothing."""
    shown = np.concatenate([curve.fnmr[curve.discarded <= SHOWN_DISCARD] for curve in curves])
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    room = 0.35 * (high - low) + 1e-3
    return (0.0 if low < high / 2 else low - room), min(high + room, 1.0)


def truth_plot(correlations: Mapping[str, Mapping[str, Correlation]]) -> Plot:
    """Return the rank correlation of each score with each nuisance as a table of colours."""
    methods = list(correlations)
    nuisances = list(correlations[methods[0]])
    values = np.array([[correlations[m][n].value for n in nuisances] for m in methods])
    with matplotlib.rc_context(plot_style()):
        figure, (axes,) = figure_of(1.9 + 0.56 * len(nuisances), 1.2 + 0.36 * len(methods))
        axes.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            entry = correlations[methods[row]][nuisances[column]]
            sure = entry.high < 0 or entry.low > 0
            axes.text(
                column,
                row,
                f"{value:+.2f}",
                ha="center",
                va="center",
                fontsize=7.5,
                color="white" if abs(value) > 0.65 else INK if sure else FAINT,
            )
        axes.set_xticks(range(len(nuisances)), [n.replace("_", " ") for n in nuisances], rotation=40, ha="right")
        axes.set_yticks(range(len(methods)), [m.replace("_", " ") for m in methods])
        axes.grid(visible=False)
        return finish(
            figure,
            name="truth",
            title="Quality against known truth",
            caption="Spearman's rank correlation of each score with the strength of each nuisance of drawn people. "
            "Below 0 the score falls as the nuisance grows, as it should. Grey: the 95 % interval holds 0.",
            alt="Table of rank correlations between quality scores and nuisance strengths.",
        )


def _tile(source: RecordSource, index: int) -> npt.NDArray[np.uint8]:
    record = source[index]
    image = decode_image(record.image, name=record.key)
    height, width = image.shape[:2]
    factor = SIDE / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    tile = np.full((SIDE, SIDE, 3), 255, np.uint8)
    tile[: size[1], : size[0]] = cv2.resize(image, size, interpolation=method)
    return tile
