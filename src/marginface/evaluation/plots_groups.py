"""Figure of a differential record: what one threshold does to each group of people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes

from .plots import FAINT, INK, MATED, NON_MATED, Plot, figure_of, finish, plot_style


def groups_plot(record: Mapping[str, Any], *, prefix: str = "") -> Plot | None:
    """Return FMR and FNMR of each group with their intervals, or None where no groups are known."""
    found = record["groups"]
    if found is None:
        return None
    groups = list(found["groups"])
    with matplotlib.rc_context(plot_style()):
        figure, (left, right) = figure_of(6.6, 1.3 + 0.34 * len(groups), columns=2)
        _draw_rates(left, groups, found["fmr"], NON_MATED)
        _draw_rates(right, groups, found["fnmr"], MATED)
        left.set_title("Strangers accepted (FMR)")
        right.set_title("True pairs refused (FNMR)")
        right.set_yticklabels([])
        if found["target_fmr"] is not None:
            left.axvline(found["target_fmr"], color=INK, lw=1.1, ls=(0, (4, 2)))
        return finish(
            figure,
            name=f"{prefix}groups",
            title="Groups of people at one threshold",
            caption="Each group with its 95 % interval; an open mark is a group without errors. Dashed: the rate over "
            "all comparisons that set the threshold. FMR is that of strangers of one group, on a logarithmic scale.",
            alt="False match and false non-match rate of " + ", ".join(map(str, groups)) + ".",
        )


def _draw_rates(axes: Axes, groups: Sequence[str], rates: Sequence[Mapping[str, Any]], colour: str) -> None:
    by_group = {one["group"]: one for one in rates}
    shown = [one for one in rates if one["trials"]]
    positive = [end for one in shown for end in (one["value"], one["low"], one["high"]) if end > 0]
    logarithmic = colour == NON_MATED and bool(positive)
    least = min(positive, default=1e-3) * 0.6
    for place, group in enumerate(groups):
        one = by_group.get(group)
        if one is None or not one["trials"]:
            axes.annotate("no comparisons", (0.03, place), xycoords=("axes fraction", "data"), color=FAINT, va="center")
            continue
        value, low, high = (max(one[key], least) if logarithmic else one[key] for key in ("value", "low", "high"))
        face = colour if one["successes"] else "white"
        axes.errorbar(
            value,
            place,
            xerr=[[max(value - low, 0.0)], [max(high - value, 0.0)]],
            fmt="o",
            ms=5,
            mfc=face,
            color=colour,
            capsize=3,
            lw=1.3,
        )
    if logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    axes.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda rate, _: f"{100 * rate:g} %"))
    axes.set_yticks(np.arange(len(groups)), list(groups))
    axes.set_ylim(len(groups) - 0.4, -0.6)
