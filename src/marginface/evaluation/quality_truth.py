"""Quality against known truth: does a score fall when a drawn person's circumstances get worse?

Drawn people carry the strength of everything that disturbs their picture. A quality score should rank pictures by what
hurts recognition, so its rank correlation (Spearman) with the strength of a nuisance should be negative; one that
measures sharpness should follow blur and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError

Array = npt.NDArray[np.float64]

STRENGTHS: dict[str, Callable[[Mapping[str, Any]], float]] = {
    "yaw": lambda n: abs(n["yaw"]),
    "pitch": lambda n: abs(n["pitch"]),
    "roll": lambda n: abs(n["roll"]),
    "expression": lambda n: abs(n["smile"]) + n["mouth_open"],
    "eyes_closed": lambda n: n["eyes_closed"],
    "side_light": lambda n: abs(n["light_azimuth"]) * n["light_strength"],
    "exposure": lambda n: abs(float(np.log(n["exposure"]))),
    "glasses": lambda n: ("none", "clear", "dark").index(n["glasses"]),
    "hat": lambda n: n["hat"],
    "occluder": lambda n: n["occluder_size"],
    "blur": lambda n: n["blur_sigma"],
    "low_resolution": lambda n: n["low_resolution"] - 1,
    "noise": lambda n: n["noise_sigma"],
    "jpeg": lambda n: 95 - n["jpeg_quality"],
}
"""Strength of each nuisance of `drawn.Nuisance`, 0 where it is absent; only their order counts."""


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of one score with one nuisance."""

    value: float
    low: float
    """95 % interval: percentiles over resamplings of the people, ranks kept."""
    high: float


def nuisance_correlations(
    scores: Mapping[str, Array],
    metas: Sequence[Mapping[str, Any]],
    labels: npt.NDArray[np.int64],
    *,
    num_replicates: int = 500,
    seed: int = 0,
) -> dict[str, dict[str, Correlation]]:
    """Return the correlation of each score with each nuisance that occurs, by score and nuisance.

    Args:
        scores: (N,) by method; images without a value are left out of that method's row.
        metas: (N,) of drawn records, with their "nuisance".
        labels: (N,) their people.
        num_replicates: resamplings of the people.
        seed: of the resampling.

    Raises:
        InputError: the records are not those of drawn people.
    """
    if not all("nuisance" in meta for meta in metas):
        raise InputError("known truth is that of drawn people only; these records have no nuisance.")
    truth = {name: np.array([of(meta["nuisance"]) for meta in metas], np.float64) for name, of in STRENGTHS.items()}
    truth = {name: strength for name, strength in truth.items() if np.ptp(strength) > 0}
    draws = _draws(labels, num_replicates, seed)
    return {
        method: {name: _correlation(values, strength, draws) for name, strength in truth.items()}
        for method, values in scores.items()
        if np.ptp(values[np.isfinite(values)]) > 0
    }


def _correlation(values: Array, strength: Array, draws: Array) -> Correlation:
    found = np.isfinite(values)
    one, other = ranks(values[found]), ranks(strength[found])
    replicates = _weighted(one, other, draws[:, found])
    low, high = np.nanquantile(replicates, [0.025, 0.975])
    return Correlation(float(_weighted(one, other, np.ones((1, len(one))))[0]), float(low), float(high))


def ranks(values: Array) -> Array:
    """Return each value's rank, ties sharing the middle of theirs."""
    ordered = np.sort(values)
    sides = (np.searchsorted(ordered, values, side="left"), np.searchsorted(ordered, values, side="right"))
    return (sides[0] + sides[1] - 1) / 2


def _weighted(one: Array, other: Array, weights: Array) -> Array:
    """Return Pearson's correlation (R,) of two rankings (N,) under each row of weights (R, N)."""
    share = weights / weights.sum(axis=1, keepdims=True)
    centred = [side - share @ side[:, None] for side in (one, other)]
    product, left, right = (
        (share * a * b).sum(axis=1) for a, b in ((centred[0], centred[1]), (centred[0],) * 2, (centred[1],) * 2)
    )
    with np.errstate(invalid="ignore"):  # a replicate may hold one value only
        return np.asarray(product / np.sqrt(left * right))


def _draws(labels: npt.NDArray[np.int64], num_replicates: int, seed: int) -> Array:
    """Return (R, N) how often each image counts when its people are drawn with replacement."""
    people, person = np.unique(labels, return_inverse=True)
    rows = []
    for number in range(num_replicates):
        drawn = np.random.default_rng((seed, number)).integers(len(people), size=len(people))
        rows.append(np.bincount(drawn, minlength=len(people))[person])
    return np.array(rows, np.float64)
