"""An evaluation as plain JSON values: everything the page, a model card or an auditor's script needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from marginface.config import dump
from marginface.metrics import (
    Interval,
    KFoldAccuracy,
    OperatingPoint,
    VerificationSummary,
    error_rates,
    score_histogram,
    support_sentence,
)
from marginface.protocols import Comparisons

from .group_rates import differential_record
from .pair_strips import hardest

if TYPE_CHECKING:
    from .comparison import Evaluation

STRIP_LENGTH = 12
"""Hardest pairs of each kind."""
SAMPLED_PAIRS = 400
"""Comparisons of each kind in the picture of norm against score."""


def evaluation_record(evaluation: Evaluation) -> dict[str, Any]:
    """Return the record of an evaluation; `json.dumps(..., allow_nan=False)` takes it."""
    summary, comparisons, table = evaluation.summary, evaluation.comparisons, evaluation.table
    numbers = comparison_numbers(summary, comparisons.score, comparisons.mated)
    return {
        "system": {
            "name": evaluation.system,
            "description": evaluation.description,
            "fingerprint": evaluation.table.fingerprint,
        },
        "protocol": {"name": evaluation.name, **dump(evaluation.config.protocol)},
        "counts": {
            "mated": summary.num_mated,
            "non_mated": summary.num_non_mated,
            "identities": summary.num_identities,
            "images": evaluation.num_images,
            "broken": len(table.meta.get("broken", ())),
            "pairs_left_out": comparisons.num_left_out,
        },
        **numbers,
        "accuracy_magface": k_fold_record(evaluation.magface_accuracy),
        "norms": _norms(evaluation),
        "hardest": hardest_pairs(
            comparisons,
            keys=table.keys,
            people=[table.identities[label] for label in table.labels.tolist()],
            pictures=None if evaluation.images is None else table.column("picture").tolist(),
            threshold=threshold_of(numbers),
        ),
        "broken": list(table.meta.get("broken", ())),
        "groups": None if evaluation.groups is None else differential_record(evaluation.groups),
        "provenance": dict(evaluation.provenance),
    }


def comparison_numbers(
    summary: VerificationSummary, scores: npt.NDArray[np.floating], mated: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    """Return the rates, intervals and curves of (P,) scores, whoever made them, as plain values."""
    points = [operating_point(p) for p in summary.fnmr_at_fmr]
    curve = error_rates(scores, mated).thinned(600)
    histogram = score_histogram(scores, mated, num_bins=80 if summary.num_mated >= 1000 else 40)
    return {
        "confidence": summary.confidence,
        "interval_method": _interval_method(summary),
        "eer": eer_of(summary),
        "accuracy": accuracy_of(summary),
        "operating_points": points,
        "headline_point": _headline(points),
        "area_under_roc": summary.area_under_roc,
        "d_prime": summary.d_prime,
        "caveats": list(summary.caveats),
        "det": {"fmr": curve.fmr.tolist(), "fnmr": curve.fnmr.tolist(), "threshold": curve.thresholds.tolist()},
        "scores": {
            "edges": histogram.edges.tolist(),
            "mated": histogram.mated.tolist(),
            "non_mated": histogram.non_mated.tolist(),
        },
    }


def threshold_of(numbers: Mapping[str, Any]) -> float | None:
    """Return the threshold of the first sentence of a report, or None where no rate is supported."""
    point = numbers["headline_point"]
    return None if point is None else float(point["threshold"])


def _estimate(value: float, interval: Interval | None, **counts: int) -> dict[str, Any]:
    low, high = (interval.low, interval.high) if interval is not None else (None, None)
    return {"value": value, "low": low, "high": high, **counts}


def eer_of(summary: VerificationSummary) -> dict[str, Any]:
    """Return the equal error rate of a summary as an estimate."""
    eer = summary.equal_error_rate
    return {**_estimate(eer.value, eer.interval), "threshold": eer.threshold}


def accuracy_of(summary: VerificationSummary) -> dict[str, Any] | None:
    """Return the k-fold accuracy of a summary as an estimate with its folds, or None where there are none."""
    record = k_fold_record(summary.accuracy)
    if record is None:
        return None
    return {**record, "trivial": max(summary.num_mated, summary.num_non_mated) / summary.num_pairs}


def k_fold_record(accuracy: KFoldAccuracy | None) -> dict[str, Any] | None:
    """Return a k-fold accuracy as an estimate with its folds."""
    if accuracy is None:
        return None
    return {
        **_estimate(accuracy.mean, accuracy.interval),
        "correct": accuracy.num_correct,
        "trials": accuracy.num_pairs,
        "folds": len(accuracy.fold_accuracies),
        "std": accuracy.std,
        "standard_error": accuracy.standard_error,
        "fold_accuracies": list(accuracy.fold_accuracies),
        "thresholds": list(accuracy.thresholds),
    }


def operating_point(point: OperatingPoint) -> dict[str, Any]:
    """Return FNMR at a target FMR as plain values; the rates are None where it is refused."""
    record: dict[str, Any] = {
        "target_fmr": point.target_fmr,
        "support": point.support,
        "reason": support_sentence(point),
        "expected_false_matches": point.expected_false_matches,
        "threshold": point.threshold,
        "achieved_fmr": None,
        "fnmr": None,
    }
    if point.value is not None and point.achieved_fmr is not None:
        assert point.false_matches is not None  # counts come with the rates
        assert point.false_non_matches is not None
        record["achieved_fmr"] = _estimate(
            point.achieved_fmr,
            point.fmr_interval,
            errors=point.false_matches,
            trials=point.num_non_mated,
        )
        record["fnmr"] = _estimate(point.value, point.interval, errors=point.false_non_matches, trials=point.num_mated)
    return record


def _headline(points: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the strictest rate that the data supports; where there is none, the least strict of the thin ones."""
    supported = [p for p in points if p["support"] == "supported"]
    if supported:
        return min(supported, key=lambda p: float(p["target_fmr"]))
    thin = [p for p in points if p["support"] == "thin"]
    return max(thin, key=lambda p: float(p["target_fmr"]), default=None)


def _interval_method(summary: VerificationSummary) -> str:
    level = f"{100 * summary.confidence:g} %"
    if summary.num_replicates == 0:
        return f"Intervals are Wilson's at {level}."
    return (
        f"Intervals are {level}: at each end the wider of Wilson's, which takes pairs for independent, and of "
        f"{summary.num_replicates:,} resamplings of the people; that of the accuracy over folds is Wilson's of as many "
        "independent pairs as vary as much as the resampled accuracy."
    )


def _norms(evaluation: Evaluation) -> dict[str, Any]:
    comparisons, table = evaluation.comparisons, evaluation.table
    norms = np.asarray((evaluation.images or table).norms, dtype=np.float64)
    counts, edges = np.histogram(norms, bins=40)
    of_side = np.asarray(table.columns.get("norm", table.norms), dtype=np.float64)  # of a template: its images' mean
    smaller = np.minimum(of_side[comparisons.left], of_side[comparisons.right])
    pairs: dict[str, dict[str, list[float]]] = {}
    for kind, wanted in (("mated", True), ("non_mated", False)):
        found = np.flatnonzero(comparisons.mated == wanted)
        if len(found) > SAMPLED_PAIRS:
            rng = np.random.default_rng((evaluation.config.seed, int(wanted)))
            found = np.sort(rng.choice(found, SAMPLED_PAIRS, replace=False))
        pairs[kind] = {"norm": smaller[found].tolist(), "score": comparisons.score[found].astype(float).tolist()}
    return {
        "edges": edges.tolist(),
        "counts": counts.tolist(),
        "min": float(norms.min()),
        "median": float(np.median(norms)),
        "max": float(norms.max()),
        "pairs": pairs,
    }


def hardest_pairs(
    comparisons: Comparisons,
    *,
    keys: Sequence[str],
    people: Sequence[str],
    threshold: float | None,
    pictures: Sequence[str] | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """Return the lowest mated and the highest non-mated scores with whom they compare, hardest first.

    Args:
        comparisons: scores; positions speak of `keys`.
        keys: (N,) names of the images or templates.
        people: (N,) names of the people on them.
        threshold: that tells whether a pair is an error; None where there is none.
        pictures: (N,) keys of the images that stand for templates; `keys` unless given.
    """
    shown = keys if pictures is None else pictures
    chosen = hardest(
        comparisons.score,
        comparisons.mated,
        left_person=comparisons.identity_left,
        right_person=comparisons.identity_right,
        count=STRIP_LENGTH,
    )
    strips: dict[str, list[dict[str, Any]]] = {}
    for kind, positions in chosen.items():
        strips[kind] = []
        for i in positions:
            left, right, score = int(comparisons.left[i]), int(comparisons.right[i]), float(comparisons.score[i])
            error = None if threshold is None else (score >= threshold) == (kind == "non_mated")
            strips[kind].append(
                {
                    "left": keys[left],
                    "right": keys[right],
                    "left_picture": str(shown[left]),
                    "right_picture": str(shown[right]),
                    "left_identity": people[left],
                    "right_identity": people[right],
                    "score": score,
                    "error": error,
                }
            )
    return strips


def contract_words(contract: Any) -> str:
    """Return an input contract in one line: `input size 112, colour order rgb, ...`."""
    return ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in dataclasses.asdict(contract).items())
