"""What a fine-tuning found, as the plain values of result.json."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import torch

from marginface.finetuning.scores import Row, Scoring, gain
from marginface.metrics import Estimate, Interval
from marginface.models import FaceModel
from marginface.records.record import RecordSource


def finetuning_record(
    rows: list[Row],
    *,
    labels: Mapping[str, Any],
    scoring: Scoring,
    models: Mapping[str, FaceModel],
    data: str,
    parts: Mapping[str, RecordSource],
    plan: Mapping[str, Any],
    start: Mapping[str, Any],
    verification: list[dict[str, Any]],
    command: str,
) -> dict[str, Any]:
    """Return the record of a fine-tuning.

    Args:
        rows: of `score_staff`, before and after.
        labels: (N,) labels of the test images under each condition.
        scoring: how answers became numbers.
        models: before and after.
        data: where one's own people were read from.
        parts: of the split, by name.
        plan: the settings, as JSON values.
        start: the recipe's section, as JSON values.
        verification: what the set of strangers says of both models.
        command: what was typed.
    """
    return {
        "command": command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "marginface": importlib.metadata.version("marginface"),
        "torch": torch.__version__,
        "model": {name: {"name": model.name, "fingerprint": model.fingerprint} for name, model in models.items()},
        "data": data,
        "plan": plan,
        "start": start,
        "split": {name: {"images": len(part), "people": len(part.identities)} for name, part in parts.items()},
        "rows": [_row(row) for row in rows],
        "gains": _gains(rows, labels, scoring),
        "verification": verification,
    }


def _row(row: Row) -> dict[str, Any]:
    f1, threshold, open_set = row.f1, row.threshold, row.open_set
    record: dict[str, Any] = {
        "when": row.when,
        "by": row.by,
        "condition": row.condition,
        "images": f1.num_images,
        "people": f1.num_classes,
        **{name: _estimate(getattr(f1, name)) for name in ("macro", "micro", "weighted")},
        "open_set": None,
    }
    if open_set is not None and threshold is not None:
        record["open_set"] = {
            "threshold": threshold.threshold,
            "calibration": {
                "images": threshold.num_images,
                "accepted_at_most": threshold.target_rate,
                "accepted": threshold.achieved_rate,
            },
            "unknown_images": open_set.num_unknown_images,
            "unknown_people": open_set.num_unknown_people,
            **{name: _estimate(getattr(open_set.f1, name)) for name in ("macro", "micro", "weighted")},
            **{
                name: _estimate(getattr(open_set, name))
                for name in ("unknown_accepted", "known_rejected", "known_confused")
            },
        }
    return record


def _gains(rows: list[Row], labels: Mapping[str, Any], scoring: Scoring) -> list[dict[str, Any]]:
    """Return after minus before for both ways to answer; before, there is no classifier but the templates."""
    by_place = {(row.when, row.by, row.condition): row for row in rows}
    gains = []
    for (when, by, condition), row in by_place.items():
        if when == "after":
            found = gain(by_place["before", "template", condition], row, labels[condition], scoring=scoring)
            gains.append({"by": by, "condition": condition, **{name: _estimate(e) for name, e in found.items()}})
    return gains


def _estimate(estimate: Estimate) -> dict[str, Any]:
    interval: Interval | None = estimate.interval
    low, high = (interval.low, interval.high) if interval else (None, None)
    return {"value": estimate.value, "low": low, "high": high}
