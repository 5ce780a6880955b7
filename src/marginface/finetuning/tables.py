"""The numbers of a fine-tuning as Markdown tables, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from marginface.evaluation import words

MEANS = ("macro", "micro", "weighted")
WAYS = {"template": "nearest class template", "classifier": "the head's classifier"}


def tables_of(record: Mapping[str, Any]) -> str:
    """Return the tables of a fine-tuning's record: F1 before and after, strangers, forgetting."""
    parts = [_f1(record)]
    if any(row["open_set"] for row in record["rows"]):
        parts.append(_open_set(record))
    if record["verification"]:
        parts.append(_verification(record))
    return "\n\n".join(parts) + "\n"


def _f1(record: Mapping[str, Any]) -> str:
    conditions = _conditions(record)
    header = ["", "answered by", *(f"{c}: {mean} F1" for c in conditions for mean in MEANS)]
    cells = {(r["when"], r["by"], r["condition"]): r for r in record["rows"]}
    rows = []
    for when, by in dict.fromkeys((r["when"], r["by"]) for r in record["rows"]):
        rows.append([when, WAYS[by], *(_cell(cells[when, by, c][mean]) for c in conditions for mean in MEANS)])
    gains = {(g["by"], g["condition"]): g for g in record["gains"]}
    rows += [
        ["after - before", WAYS[by], *(_points(gains[by, c][m]) for c in conditions for m in MEANS)]
        for by in dict.fromkeys(g["by"] for g in record["gains"])
    ]
    split, first = record["split"], record["rows"][0]
    said = (
        f"{first['images']:,} test images of {first['people']:,} known people, {split['train']['images']:,} images of "
        f"them to train on. Before, the classifier is the class templates. {_intervals(record)}"
    )
    return f"{_markdown(header, rows)}\n\n{said}"


def _open_set(record: Mapping[str, Any]) -> str:
    names = {
        "unknown_accepted": "strangers accepted",
        "known_rejected": "known people refused",
        "known_confused": "known people confused",
        "macro": "macro F1",
        "micro": "micro F1",
        "weighted": "weighted F1",
    }
    rows = [
        [row["when"], WAYS[row["by"]], row["condition"], *(_cell(row["open_set"][name]) for name in names)]
        for row in record["rows"]
    ]
    one = record["rows"][0]["open_set"]
    calibration = record["split"]["calibration"]
    said = (
        f"With strangers: {one['unknown_images']:,} images of {one['unknown_people']:,} people whom nobody has "
        "enrolled. F1 counts them, and whoever is refused, as one class more. A threshold is set for each model and "
        f"way to answer so that at most {words.percent(one['calibration']['accepted_at_most'])} of "
        f"{calibration['images']:,} clean images of {calibration['people']:,} other strangers are accepted, and stays "
        "for degraded images."
    )
    return f"{_markdown(['', 'answered by', 'images', *names.values()], rows)}\n\n{said}"


def _verification(record: Mapping[str, Any]) -> str:
    systems = record["verification"]
    rates = [p["target_fmr"] for p in systems[-1]["operating_points"] if p["support"] != "refused"]
    rows = []
    for one in systems:
        points = {p["target_fmr"]: p["fnmr"] for p in one["operating_points"]}
        rows.append(
            [
                one["system"]["name"],
                _cell(one["eer"]),
                "-" if one["accuracy"] is None else _cell(one["accuracy"]),
                *("-" if points.get(rate) is None else _cell(points[rate]) for rate in rates),
            ]
        )
    folds = systems[-1]["accuracy"]
    accuracy = "accuracy" if folds is None else f"{folds['folds']}-fold accuracy"
    counts, name = systems[-1]["counts"], systems[-1]["protocol"]["name"]
    header = [name, "EER", accuracy, *(f"FNMR at FMR {words.rate_name(rate)}" for rate in rates)]
    said = (
        f"Forgetting, on strangers: {counts['mated']:,} mated and {counts['non_mated']:,} non-mated comparisons of "
        f"{counts['identities']:,} people. {systems[-1]['interval_method']}"
    )
    return f"{_markdown(header, rows)}\n\n{said}"


def _intervals(record: Mapping[str, Any]) -> str:
    number = record["plan"]["num_replicates"]
    if not number:
        return "Without resampling there are no intervals of F1."
    return (
        f"In brackets 95 % intervals from {number:,} resamplings of the people (micro F1: or Wilson's where that is "
        "wider). Differences are paired, in percentage points: whether one excludes 0 says more than whether two "
        "intervals overlap."
    )


def _conditions(record: Mapping[str, Any]) -> Sequence[str]:
    return list(dict.fromkeys(row["condition"] for row in record["rows"]))


def _cell(estimate: Mapping[str, Any]) -> str:
    return f"{words.percent_of(estimate)} {words.interval_of(estimate)}".strip()


def _points(estimate: Mapping[str, Any]) -> str:
    if estimate["value"] == estimate["low"] == estimate["high"] == 0:
        return "0 [0, 0]"  # not one answer differs: decimals would say nothing
    digits = words.decimals(estimate)
    return f"{100 * estimate['value']:+.{digits}f} {words.interval_of(estimate)}".strip()


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
