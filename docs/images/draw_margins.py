"""Draw `margins.png` of the page on margins: what each kind makes of the angle to the true class, as small multiples.

python docs/images/draw_margins.py [OUT]

Curves come from the margins themselves at their defaults, in eval mode, so the picture cannot say something else than
the code. Three kinds change the cosines to other classes too: their second curve is drawn over the angle to another
class, for a sample 60 degrees away from its own.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import matplotlib
import torch
from matplotlib.axes import Axes

from marginface.margins import MARGINS, adaface, arcface, cosface

matplotlib.use("Agg")
import matplotlib.pyplot as plt

TARGET, OTHER, PLAIN = "#1f5f8b", "#c8553d", "#9a9a9a"
DASHES = (0, (4, 1.5))
SHADES = ["#9cc4de", "#4b93c0", "#123f5e"]

ANGLES = torch.linspace(0, math.pi, 721, dtype=torch.float64)
COSINES = ANGLES.cos()
DEGREES = (ANGLES * 180 / math.pi).numpy()


def curve(kind: str, *, norm: float = 1.0, **settings: object) -> torch.Tensor:
    """Return f over all angles."""
    margin = MARGINS[kind](**settings).build().eval()
    penalised = margin(COSINES, torch.full_like(COSINES, norm)).detach()
    return broken_at_jumps(penalised)


def broken_at_jumps(values: torch.Tensor) -> torch.Tensor:
    """Return the curve with a gap where it jumps, so that no line is drawn there."""
    values = values.clone()
    values[1:][values.diff().abs() > 0.05] = math.nan
    return values


def draw_target(axes: Axes, kind: str) -> None:
    """Draw f, for kinds that depend on more than the angle for three values of it."""
    if kind in ("magface", "magcosface"):
        for norm, colour in zip((10.0, 60.0, 110.0), SHADES, strict=True):
            axes.plot(DEGREES, curve(kind, norm=norm), color=colour, label=f"norm {norm:g}")
    elif kind == "adaface":
        for z, colour in zip((-1.0, 0.0, 1.0), SHADES, strict=True):
            value = adaface(COSINES, torch.full_like(COSINES, z), MARGINS[kind]().margin)
            axes.plot(DEGREES, value, color=colour, label=f"z = {z:+g}" if z else "z = 0")
    elif kind.startswith("elasticface"):
        config = MARGINS[kind]()
        shape = arcface if kind == "elasticface_arc" else cosface
        low, high = (broken_at_jumps(shape(COSINES, config.margin + k * config.sigma)) for k in (3, -3))
        axes.fill_between(DEGREES, low, high, color=SHADES[0], label="3 sigma either way")
        axes.plot(DEGREES, curve(kind), color=TARGET)
    else:
        axes.plot(DEGREES, curve(kind), color=TARGET)


def draw_others(axes: Axes, kind: str) -> None:
    """Draw what becomes of another class's cosine for a sample at 60 degrees from its own class."""
    margin = MARGINS[kind]().build().eval()
    if kind == "curricularface":
        margin.t.fill_(0.5)  # somewhere late in a training
    penalised = margin(torch.tensor([0.5], dtype=torch.float64), torch.ones(1, dtype=torch.float64))
    others = margin.reweigh(COSINES[:, None], penalised)[:, 0]
    axes.plot(DEGREES, broken_at_jumps(others), color=OTHER, linestyle=DASHES)


NOTES = {
    "softmax": "times both lengths",
    "adacos": "times a scale that follows",
    "combined": "m1 1, m2 0.3, m3 0.2",
    "sphereface": "m1 1.35",
    "curricularface": "t = 0.5",
}


def main(out: Path) -> None:
    """Write the picture."""
    plt.rcParams.update({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "lines.linewidth": 1.6})
    figure, grid = plt.subplots(3, 5, figsize=(10, 6.4), sharex=True, sharey=True, layout="constrained")
    for axes, kind in zip(grid.flat, MARGINS, strict=True):
        axes.plot(DEGREES, COSINES, color=PLAIN, linewidth=1.0)
        draw_target(axes, kind)
        if kind in ("curricularface", "mv_softmax", "circle"):
            draw_others(axes, kind)
        axes.set_title(kind, fontsize=9, fontweight="bold", loc="left")
        if axes.get_legend_handles_labels()[1]:
            axes.legend(frameon=False, fontsize=7, loc="upper right", borderaxespad=0, handlelength=1.6)
        elif kind in NOTES:
            axes.text(0.98, 0.98, NOTES[kind], transform=axes.transAxes, ha="right", va="top", fontsize=7)
        axes.set_xticks([0, 45, 90, 135, 180])
        axes.set_yticks([-2, -1, 0, 1])
        axes.set_ylim(-2.2, 1.6)
        axes.set_xlim(0, 180)
        axes.axhline(0, color="#dddddd", linewidth=0.6, zorder=0)
    plain = grid[0, 0].plot([], [], color=PLAIN, linewidth=1.0)[0]
    true = grid[0, 0].plot([], [], color=TARGET)[0]
    other = grid[0, 0].plot([], [], color=OTHER, linestyle=DASHES)[0]
    labels = ["the cosine itself", "true class", "another class, where the margin changes it"]
    figure.legend([plain, true, other], labels, loc="outside upper right", ncols=3, frameon=False, fontsize=9)
    figure.supxlabel("angle to the class centre, degrees", fontsize=9)
    figure.supylabel("what stands in the softmax for its cosine, before the scale", fontsize=9)
    figure.savefig(out, dpi=100, metadata={"Software": None}, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("margins.png"))
