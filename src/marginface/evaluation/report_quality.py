"""What image quality has to do with an evaluation's errors: error versus discard, the best and the worst images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from marginface.metrics.discard import DiscardCurve
from marginface.quality import QUALITY

from .comparison import Evaluation
from .discard import Discardable, discardable, telling
from .identify import Identification

STRIP_LENGTH = 12
"""Images of the lowest and of the highest quality."""
NUM_REPLICATES = 100
"""Of the band of a curve."""
MANY = 200_000
"""Comparisons beyond which the band is Wilson's alone, as replicates would take minutes."""


def quality_record(judged: Evaluation | Identification) -> dict[str, Any] | None:
    """Return error versus discard of what was judged by norm and by its table's quality columns, as plain values.

    None where `discard_record` has nothing to say.
    """
    found = discardable(judged)
    if found is None:
        return None
    config = judged.config
    table, rows = judged.table, None
    if isinstance(judged, Identification):
        rows = judged.quality.rows if judged.quality is not None else None
    elif judged.images is not None:
        table = judged.images
    else:
        rows = np.union1d(judged.comparisons.left, judged.comparisons.right)
    of_images = {"norm": table.norms, **table.columns}
    return discard_record(
        found,
        {name: np.asarray(of_images[name]) for name in found.names},
        keys=table.keys,
        rows=rows,
        num_replicates=config.num_replicates,
        seed=config.seed,
    )


def discard_record(
    found: Discardable,
    of_images: Mapping[str, npt.NDArray[Any]],
    *,
    keys: Sequence[str],
    rows: npt.NDArray[np.int64] | None,
    num_replicates: int,
    seed: int,
) -> dict[str, Any] | None:
    """Return error versus discard by each quality score, and the best and worst images by the best one.

    None where no score tells images apart, where the comparisons cannot carry any of the rates, or where there are no
    errors to get rid of.

    Args:
        found: what may be left out.
        of_images: (N,) by name, higher is better; NaN where an image has no value.
        keys: (N,) names of the images.
        rows: of the images that take part; None for all.
        num_replicates: of the bands, at most `NUM_REPLICATES`.
        seed: of the resampling.
    """
    if not found.is_supported:
        return None
    names = [name for name in found.names if telling(of_images[name])]
    replicates = min(NUM_REPLICATES, num_replicates) if found.size <= MANY else 0
    curves = {name: found.curve(name, num_replicates=replicates, seed=seed) for name in names}
    if not any(curve.random for curve in curves.values()):
        return None
    best = min(curves, key=lambda name: curves[name].area or 0.0)
    values = np.asarray(of_images[best], np.float64)
    used = np.arange(len(keys)) if rows is None else rows
    used = used[np.isfinite(values[used])]
    order = used[np.argsort(values[used], kind="stable")]
    return {
        "errors": found.errors,
        "left_out": found.left_out,
        "quality_of": found.quality_of,
        "best": best,
        "meaning": {name: QUALITY[name].meaning if name in QUALITY else "read from a file" for name in curves},
        "curves": {name: _curve_record(curve) for name, curve in curves.items()},
        "lowest": _images(order[:STRIP_LENGTH], keys, values),
        "highest": _images(order[::-1][:STRIP_LENGTH], keys, values),
    }


def _curve_record(curve: DiscardCurve) -> dict[str, Any]:
    ends = curve.area_interval
    return {
        "target_fmr": curve.target_fmr,
        "area_limit": curve.area_limit,
        "area": None
        if curve.area is None
        else {"value": curve.area, "low": ends.low if ends else None, "high": ends.high if ends else None},
        "gain": curve.gain,
        "replicates": curve.num_replicates,
        "random": curve.random,
        **{name: getattr(curve, name).tolist() for name in ("discarded", "fnmr", "low", "high", "ideal")},
    }


def _images(
    positions: npt.NDArray[np.int64], keys: Sequence[str], values: npt.NDArray[np.float64]
) -> list[Mapping[str, Any]]:
    return [{"key": keys[int(i)], "value": float(values[int(i)])} for i in positions]
