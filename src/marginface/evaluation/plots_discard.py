"""Figure of error versus discard, drawn from a report's records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import matplotlib.ticker
import numpy as np

from .plots import FAINT, INK, LINE_STYLES, SYSTEM_COLOURS, Plot, figure_of, finish, plot_style

SHOWN = 0.6
"""Share of discarded comparisons up to which curves are drawn: beyond, few errors decide."""


def discard_plot(records: Sequence[Mapping[str, Any]], *, prefix: str = "") -> Plot | None:
    """Return errors against the share of pairs or searches left out by quality, or None where no quality is known.

    All quality scores of the last record, which the report is about, and the first one of every other system.
    """
    main = records[-1]
    found = main["quality"]
    if found is None:
        return None
    chosen = [(main, method) for method in found["curves"]]
    chosen += [(one, next(iter(one["quality"]["curves"]))) for one in records[-2::-1] if one["quality"]]
    best = found["curves"][found["best"]]
    with matplotlib.rc_context(plot_style()):
        figure, (axes,) = figure_of(6.6, 4.2)
        heights = []
        for number, (record, method) in enumerate(chosen):
            curve = record["quality"]["curves"][method]
            at, fnmr = np.asarray(curve["discarded"], float), np.asarray(curve["fnmr"], float)
            seen = at <= SHOWN
            heights.append(fnmr[seen])
            colour = SYSTEM_COLOURS[number % len(SYSTEM_COLOURS)]
            style = LINE_STYLES[(number // len(SYSTEM_COLOURS)) % len(LINE_STYLES)]
            if curve is best:
                axes.fill_between(
                    at[seen],
                    np.asarray(curve["low"])[seen],
                    np.asarray(curve["high"])[seen],
                    color=colour,
                    alpha=0.13,
                    lw=0,
                )
            label = method.replace("_", " ")
            if record is not main or len(records) > 1:
                label += f", {record['system']['name']}"
            axes.plot(at[seen], fnmr[seen], color=colour, ls=style, lw=1.8, label=label)
        at = np.asarray(best["discarded"], float)
        axes.axhline(best["random"], color=FAINT, lw=1.1, ls=(0, (4, 2)), label="at random")
        axes.plot(at, best["ideal"], color=INK, lw=1.1, ls=(0, (1, 1.5)), label="ideal")
        axes.set_xlim(0, SHOWN)
        axes.set_ylim(0, 1.25 * float(np.max(np.concatenate(heights))) + 1e-3)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0, decimals=None, symbol=" %"))
        left_out = found["left_out"]
        axes.set_xlabel(f"{left_out[0].upper()}{left_out[1:]} that are left out, worst quality first")
        axes.set_ylabel(found["errors"].replace("\u00a0", " "))
        axes.legend(loc="upper right", fontsize=8.5, ncols=2, frameon=True, framealpha=0.9, edgecolor="none")
        return finish(
            figure,
            name=f"{prefix}quality",
            title="Error versus discard",
            caption="Lower is better, and a curve that falls means that the score knows which images fail. "
            f"What counts as an error stays as it was found on all; {found['quality_of']}. The band "
            f"is the 95 % one of {found['best'].replace('_', ' ')}"
            f"{'' if best['replicates'] else ' (taken for independent)'}; level dashes: leaving out at random, "
            f"dots: the best any order could do{' for ' + main['system']['name'] if len(records) > 1 else ''}.",
            alt="Errors against the share that is left out by each quality score, with ideal and random bounds.",
        )
