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
    """Return FNMR against the share of true pairs left out by quality, or None where no quality is known.

    All quality scores of the last record, which the report is about, and the first one of every other system.
    """
    main = records[-1]
    if main["quality"] is None:
        return None
    chosen = [(main, method) for method in main["quality"]["curves"]]
    chosen += [(one, next(iter(one["quality"]["curves"]))) for one in records[-2::-1] if one["quality"]]
    best = main["quality"]["curves"][main["quality"]["best"]]
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
            axis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0, decimals=None))
        axes.set_xlabel("True pairs left out, worst quality first")
        axes.set_ylabel(f"FNMR at FMR {best['target_fmr']:g}")
        axes.legend(loc="upper right", fontsize=8.5, ncols=2, frameon=True, framealpha=0.9, edgecolor="none")
        return finish(
            figure,
            name=f"{prefix}quality",
            title="Error versus discard",
            caption="Lower is better, and a curve that falls means that the score knows which images fail. The "
            "threshold stays as it was found on all pairs; the quality of a pair is that of its worse image. The band "
            f"is the 95 % one of {main['quality']['best'].replace('_', ' ')}"
            f"{'' if best['replicates'] else ' (pairs taken for independent)'}; level dashes: leaving out at random, "
            f"dots: the best any order could do{' for ' + main['system']['name'] if len(records) > 1 else ''}.",
            alt="FNMR against the share of discarded pairs for each quality score, with ideal and random bounds.",
        )
