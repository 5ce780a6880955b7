"""A model card in the form of the Hugging Face hub, made from a report's record.

`README.md` with front matter (https://huggingface.co/docs/hub/model-cards): licence, tags and a `model-index` whose
results are the report's numbers with their counts and intervals, and below it what a reader should know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jinja2

from marginface.config import yaml_text

from . import words
from .page import text_of
from .report_view import SetView, is_search, search_rows, sets_of

Record = Mapping[str, Any]

# The hub takes these identifiers; everything else is `other` with a name of its own.
LICENCES = (
    "apache-2.0",
    "mit",
    "bsd-2-clause",
    "bsd-3-clause",
    "cc-by-4.0",
    "cc-by-sa-4.0",
    "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0",
    "cc-by-nc-nd-4.0",
    "gpl-3.0",
    "agpl-3.0",
    "lgpl-3.0",
)


def model_card(report: Record, system: str) -> str:
    """Return `README.md` of a system of a report that has a card, as text.

    Args:
        report: the record.
        system: its name; a key of `report["cards"]`.
    """
    card = report["cards"][system]
    found = [
        (view, record) for view in sets_of(report) for record in view.records if record["system"]["name"] == system
    ]
    front = _front_matter(card, system, found)
    return f"---\n{yaml_text(front)}---\n\n{_body(report, card, system, found)}"


def _front_matter(card: Record, system: str, found: Sequence[tuple[SetView, Record]]) -> dict[str, Any]:
    return {
        **_licence(card),
        "library_name": "marginface",
        "pipeline_tag": "image-feature-extraction",
        "tags": ["face-recognition", "face-verification", "biometrics"],
        "model-index": [{"name": system, "results": [_result(record) for _, record in found]}],
    }


def _licence(card: Record) -> dict[str, str]:
    stated = card["licence"].strip()
    if stated.lower() in LICENCES:
        return {"license": stated.lower()}
    # a sentence about several terms is not one of them, even if it names one
    return {"license": "other", "license_name": words.slug(stated)[:60].strip("-") if stated else "not-stated"}


def _result(record: Record) -> dict[str, Any]:
    search = is_search(record)
    return {
        "task": {
            "type": "face-identification" if search else "face-verification",
            "name": "Face identification (1:N)" if search else "Face verification (1:1)",
        },
        "dataset": {
            "name": record["protocol"]["name"],
            "type": words.slug(record["protocol"]["name"]),
            "args": {"protocol": record["protocol"]["kind"], **record["counts"]},
        },
        "metrics": list(_search_metrics(record) if search else _comparison_metrics(record)),
    }


def _comparison_metrics(record: Record) -> Iterator[dict[str, Any]]:
    yield _metric("equal_error_rate", "Equal error rate", record["eer"])
    if record["accuracy"] and not words.lopsided(record):
        folds = record["accuracy"]["folds"]
        yield _metric("accuracy", f"Accuracy over {folds} folds", record["accuracy"], folds=folds)
    for point in record["operating_points"]:
        if point["fnmr"]:
            yield _metric(
                "fnmr_at_fmr",
                f"FNMR at FMR {point['target_fmr']:g}",
                point["fnmr"],
                target_fmr=point["target_fmr"],
                achieved_fmr=point["achieved_fmr"]["value"],
                threshold=point["threshold"],
                support=point["support"],
            )


def _search_metrics(record: Record) -> Iterator[dict[str, Any]]:
    for name, rates in search_rows(record):
        for one in rates["ranks"]:
            yield _metric(f"rank_{one['rank']}", f"Found at rank {one['rank']} ({name})", one, gallery=name)
        for point in rates["fnir_at_fpir"]:
            if point["fnir"]:
                yield _metric(
                    "fnir_at_fpir",
                    f"FNIR at FPIR {point['target_fpir']:g} ({name})",
                    point["fnir"],
                    gallery=name,
                    target_fpir=point["target_fpir"],
                    support=point["support"],
                )


def _metric(kind: str, name: str, estimate: Record, **settings: Any) -> dict[str, Any]:
    ends = {key: estimate[key] for key in ("low", "high") if estimate.get(key) is not None}
    counts = {key: estimate[key] for key in ("errors", "correct", "successes", "trials") if key in estimate}
    return {"type": kind, "name": name, "value": estimate["value"], "args": {**ends, **counts, **settings}}


def _body(report: Record, card: Record, system: str, found: Sequence[tuple[SetView, Record]]) -> str:
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(text_of(__package__, "card_template.md")).render(
        report=report,
        card=card,
        system=system,
        rows=[row for _, record in found for row in _rows(record)],
        limits=[(view.name, view.said) for view, _ in found],
        thresholds=[(r, p) for _, r in found if not is_search(r) for p in r["operating_points"] if p["fnmr"]],
        provenance=found[-1][1]["provenance"] if found else {},
        fingerprint=found[-1][1]["system"]["fingerprint"] if found else "",
        words=words,
        cell=_cell,
    )


def _rows(record: Record) -> list[tuple[str, str, str, str, str]]:
    """Return set, measure, value, interval and count of each number."""
    rows = []
    for metric in _result(record)["metrics"]:
        estimate = {"value": metric["value"], "low": None, "high": None, **metric["args"]}
        digits = words.interval_of(estimate)
        count = metric["args"].get("trials")
        rows.append(
            (
                str(record["protocol"]["name"]),
                str(metric["name"]),
                words.percent_of(estimate),
                digits or "none",
                "" if count is None else f"{count:,}",
            )
        )
    return rows


def _cell(value: object) -> str:
    """Return text that stays in its cell of a table."""
    return re.sub(r"\s+", " ", str(value)).replace("|", "\\|").replace("<", "&lt;")
