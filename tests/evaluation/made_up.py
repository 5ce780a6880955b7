"""Evaluation records with numbers made up from normal distributions, for pages that need no model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


class MadeUp:
    """Stands in for an `Evaluation`: it has a record and nothing else."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.record = record

    def to_json(self) -> dict[str, Any]:
        return self.record


def estimate(errors: int, trials: int) -> dict[str, Any]:
    rate = errors / trials
    half = 1.96 * np.sqrt(max(rate * (1 - rate), 1 / trials) / trials)
    return {
        "value": rate,
        "low": float(max(rate - half, 0)),
        "high": float(min(rate + half, 1)),
        "errors": errors,
        "trials": trials,
    }


def record(
    name: str,
    *,
    separation: float = 2.5,
    pairs: int = 3000,
    people: int = 400,
    folds: bool = True,
    refused: tuple[float, ...] = (1e-4,),
    identity: str = "Person",
    seed: int = 0,
) -> dict[str, Any]:
    """Return the record of a system whose mated scores lie `separation` deviations above the non-mated ones."""
    rng = np.random.default_rng(seed)
    mated = np.clip(0.05 + 0.12 * (separation + rng.normal(size=pairs)), -1, 1)
    non_mated = np.clip(0.05 + 0.12 * rng.normal(size=pairs), -1, 1)
    thresholds = np.sort(np.concatenate([mated, non_mated]))[:: max(pairs // 200, 1)]
    fmr = [(non_mated >= t).mean() for t in thresholds]
    fnmr = [(mated < t).mean() for t in thresholds]
    equal = int(np.argmin(np.abs(np.subtract(fmr, fnmr))))
    points = []
    for target in (1e-2, 1e-3, 1e-4):
        if target in refused:
            reason = (
                f"FMR {target:g}: {pairs:,} non-mated comparisons expect {pairs * target:.1f} false matches; too few."
            )
            points.append(
                {
                    "target_fmr": target,
                    "support": "refused",
                    "reason": reason,
                    "threshold": None,
                    "achieved_fmr": None,
                    "fnmr": None,
                }
            )
            continue
        allowed = int(target * pairs)
        threshold = float(np.sort(non_mated)[::-1][allowed] + 1e-9)
        weak = pairs * target < 30
        points.append(
            {
                "target_fmr": target,
                "support": "thin" if weak else "supported",
                "reason": f"FMR {target:g} rests on {allowed} false matches, fewer than thirty." if weak else "",
                "threshold": threshold,
                "achieved_fmr": estimate(int((non_mated >= threshold).sum()), pairs),
                "fnmr": estimate(int((mated < threshold).sum()), pairs),
            }
        )
    supported = [p for p in points if p["fnmr"] is not None]
    edges = np.linspace(-0.5, 1, 61)
    return {
        "system": {"name": name, "description": f"{name}, made up.", "fingerprint": f"sha256:{seed:08x}"},
        "protocol": {"name": "lfw", "kind": "lfw"},
        "counts": {"mated": pairs, "non_mated": pairs, "identities": people, "images": 2 * people, "broken": 0},
        "interval_method": "Intervals are resampled by person.",
        "eer": estimate(round(fmr[equal] * pairs), pairs),
        "accuracy": {**estimate(round((1 - fmr[equal]) * pairs), pairs), "folds": 10} if folds else None,
        "operating_points": points,
        "headline_point": supported[0] if supported else None,
        "det": {"fmr": [float(f) for f in fmr], "fnmr": [float(f) for f in fnmr]},
        "scores": {
            "edges": edges.tolist(),
            "mated": np.histogram(mated, edges)[0].tolist(),
            "non_mated": np.histogram(non_mated, edges)[0].tolist(),
        },
        "norms": norms(rng, mated, non_mated),
        "hardest": {
            "mated": [_pair(identity, i, float(s), supported) for i, s in enumerate(np.sort(mated)[:10])],
            "non_mated": [
                _pair(identity, i, float(s), supported, other=True) for i, s in enumerate(-np.sort(-non_mated)[:10])
            ],
        },
        "provenance": {"data": "folder:faces", "flip": "sum", "command": "marginface evaluate run --protocol lfw"},
    }


def norms(rng: np.random.Generator, mated: Any, non_mated: Any) -> dict[str, Any]:
    values = rng.normal(22, 3, 800)
    counts, edges = np.histogram(values, 40)
    return {
        "edges": edges.tolist(),
        "counts": counts.tolist(),
        "min": float(values.min()),
        "median": float(np.median(values)),
        "max": float(values.max()),
        "pairs": {
            kind: {
                "norm": (21 + 6 * scores[:300] + rng.normal(size=len(scores[:300]))).tolist(),
                "score": scores[:300].tolist(),
            }
            for kind, scores in (("mated", mated), ("non_mated", non_mated))
        },
    }


def _pair(
    identity: str, i: int, score: float, supported: list[dict[str, Any]], *, other: bool = False
) -> dict[str, Any]:
    wrong = None
    if supported:
        wrong = (score >= supported[0]["threshold"]) == other
    right = f"{identity}_{i + 50 if other else i:03d}/0002.jpg"
    return {"left": f"{identity}_{i:03d}/0001.jpg", "right": right, "score": score, "error": wrong}


def write_log(path: Path, *, steps: int = 2000, evaluations: bool = True, seed: int = 0) -> Path:
    """Write a training log of the usual shape."""
    rng = np.random.default_rng(seed)
    lines = []
    for step in range(1, steps + 1):
        done = step / steps
        lines.append(
            {
                "event": "step",
                "step": step,
                "epoch": step // 500,
                "loss": float(4 + 16 * np.exp(-3 * done) + rng.normal() * 0.6),
                "lr": float(0.1 * min(step / 200, 1) * (1 - done) ** 2),
                "mean_norm": float(12 + 10 * done + rng.normal() * 0.3),
                "mean_target_cos": float(0.6 * (1 - np.exp(-3 * done)) + rng.normal() * 0.02),
                "images_per_second": 210.0,
            }
        )
        if evaluations and step % 250 == 0:
            error = 0.06 + 0.35 * np.exp(-4 * done)
            lines.append(
                {
                    "event": "evaluation",
                    "step": step,
                    "name": "lfw",
                    "accuracy": 1 - error * 0.95,
                    "accuracy_low": 1 - error * 0.95 - 0.012,
                    "accuracy_high": 1 - error * 0.95 + 0.012,
                    "eer": error,
                    "eer_low": error - 0.012,
                    "eer_high": error + 0.012,
                }
            )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path
