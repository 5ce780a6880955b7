"""What image quality has to do with an evaluation's errors: error versus discard, the best and the worst images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from marginface.metrics import fmr_support
from marginface.metrics.discard import DiscardCurve, error_versus_discard, pair_quality
from marginface.models import FaceModel
from marginface.protocols import Comparisons
from marginface.quality import QUALITY, assess
from marginface.records.record import RecordSource
from marginface.records.select import subset

from .comparison import Evaluation
from .embed import Progress

STRIP_LENGTH = 12
"""Images of the lowest and of the highest quality."""
NUM_REPLICATES = 100
"""Of the band of a curve."""
MANY = 200_000
"""Comparisons beyond which the band is Wilson's alone, as replicates would take minutes."""
LEAST_SPREAD = 1e-3
"""Of a score that says something: its range over its largest value."""


def with_quality(
    evaluation: Evaluation,
    source: RecordSource,
    methods: Sequence[str],
    *,
    model: FaceModel | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Return the evaluation with quality scores of its images as columns of its table, for the report to judge.

    Args:
        evaluation: of comparisons of single images.
        source: of its images.
        methods: keys of `QUALITY`.
        model: for methods that ask a model.
        progress: called with (images done, images in all).

    Raises:
        InputError: whatever `assess` refuses.
    """
    table = evaluation.table
    place = {key: i for i, key in enumerate(source.keys)}
    chosen = subset(source, np.array([place[key] for key in table.keys]))
    found = assess(chosen, methods, model=model, progress=progress)
    return dataclasses.replace(evaluation, table=table.with_columns(dict(found.scores)))


def compares_images(evaluation: Evaluation) -> bool:
    """Return whether single images are compared, rather than templates."""
    sides = np.union1d(evaluation.comparisons.left, evaluation.comparisons.right)
    return evaluation.num_images == len(sides)


def discard_record(evaluation: Evaluation) -> dict[str, Any] | None:
    """Return error versus discard of an evaluation by norm and by its table's quality columns, as plain values.

    None where templates are compared, and where `discard_of` has nothing to say.
    """
    if not compares_images(evaluation):
        return None
    table, config = evaluation.table, evaluation.config
    columns = {name: np.asarray(column) for name, column in table.columns.items()}
    named = {name: column for name, column in columns.items() if name in ("quality", *QUALITY) and name != "norm"}
    return discard_of(
        evaluation.comparisons,
        {"norm": table.norms, **named},
        keys=table.keys,
        fmr_targets=config.fmr_targets,
        num_replicates=config.num_replicates,
        seed=config.seed,
    )


def discard_of(
    comparisons: Comparisons,
    qualities: Mapping[str, npt.NDArray[Any]],
    *,
    keys: Sequence[str],
    fmr_targets: Sequence[float],
    num_replicates: int,
    seed: int,
) -> dict[str, Any] | None:
    """Return error versus discard of comparisons by each quality score, and the best and worst images by the best one.

    None where no score tells images apart, where the pairs cannot carry any of the rates, or where no true pair is
    refused, so that there is nothing to get rid of. The rate is that of the report's first sentence.

    Args:
        comparisons: of single images; positions speak of `keys`.
        qualities: (N,) by name, higher is better; NaN where an image has no value.
        keys: (N,) names of the images.
        fmr_targets: of which one is chosen.
        num_replicates: of the bands, at most `NUM_REPLICATES`.
        seed: of the resampling.
    """
    scores = {name: found for name, values in qualities.items() if (found := _telling(values)) is not None}
    num_non_mated = int((~comparisons.mated).sum())
    support = {f: fmr_support(num_non_mated, f) for f in fmr_targets}
    firm, thin = ([f for f, word in support.items() if word == wanted] for wanted in ("supported", "thin"))
    if not scores or not (firm or thin):
        return None
    fmr = min(firm) if firm else max(thin)
    curves = {
        name: error_versus_discard(
            comparisons.score,
            comparisons.mated,
            pair_quality(values[comparisons.left], values[comparisons.right]),
            fmr=fmr,
            identity_left=comparisons.identity_left,
            identity_right=comparisons.identity_right,
            num_replicates=min(NUM_REPLICATES, num_replicates) if len(comparisons) <= MANY else 0,
            seed=seed,
        )
        for name, values in scores.items()
    }
    if not any(curve.random for curve in curves.values()):
        return None
    best = min(curves, key=lambda name: curves[name].area or 0.0)
    used = np.union1d(comparisons.left, comparisons.right)
    order = used[np.argsort(scores[best][used], kind="stable")]
    return {
        "target_fmr": fmr,
        "best": best,
        "meaning": {name: QUALITY[name].meaning if name in QUALITY else "read from a file" for name in curves},
        "curves": {name: _curve_record(curve) for name, curve in curves.items()},
        "lowest": _images(order[:STRIP_LENGTH], keys, scores[best]),
        "highest": _images(order[::-1][:STRIP_LENGTH], keys, scores[best]),
    }


def _telling(values: npt.NDArray[Any]) -> npt.NDArray[np.float64] | None:
    """Return scores that tell images apart, or None; an image without a value is the first to be left out."""
    known = np.asarray(values, np.float64)
    finite = np.isfinite(known)
    if not finite.any() or np.ptp(known[finite]) <= LEAST_SPREAD * max(float(np.abs(known[finite]).max()), 1e-12):
        return None
    return np.where(finite, known, known[finite].min() - 1)


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
