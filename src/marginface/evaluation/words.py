"""Numbers of an evaluation record in plain words: percentages with sensible digits, sentences, limits."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from marginface.metrics.summary import MOST_OF_A_KIND

Estimate = Mapping[str, Any]
"""`{"value", "low", "high", ...}`: rates in 0..1 with the two ends of their 95 % interval, which may be None."""


def decimals(estimate: Estimate) -> int:
    """Return how many decimals of a percentage the estimate carries: one digit finer than its interval's half width."""
    low, high = estimate.get("low"), estimate.get("high")
    if low is None or high is None:
        return 1
    half = 50.0 * (high - low)
    return 1 if half >= 0.5 else 2 if half >= 0.05 else 3


def percent(rate: float, digits: int = 1) -> str:
    """Return `12.3 %` for 0.123, with a no-break space."""
    return f"{100 * rate:.{digits}f}\u00a0%"


def percent_of(estimate: Estimate) -> str:
    """Return the value of an estimate as a percentage, with the digits that its interval supports."""
    return percent(estimate["value"], decimals(estimate))


def interval_of(estimate: Estimate) -> str:
    """Return `[10.1, 14.9]` in percent, or nothing where the estimate has no interval."""
    if estimate.get("low") is None or estimate.get("high") is None:
        return ""
    digits = decimals(estimate)
    return f"[{100 * estimate['low']:.{digits}f},\u00a0{100 * estimate['high']:.{digits}f}]"


def rate_name(rate: float) -> str:
    """Return a target rate as it is spoken of: `1 %`, `0.1 %`, `1e-5`."""
    return f"{100 * rate:g}\u00a0%" if rate >= 1e-4 else f"{rate:.0e}".replace("e-0", "e-")


def score_of(score: float, record: Mapping[str, Any]) -> str:
    """Return a score with three decimals, and more where a record's scores lie so close that three would not do."""
    edges = record["scores"]["edges"]
    spread = edges[-1] - edges[0]
    digits = 3 if spread <= 0 else max(3, min(8, 2 - math.floor(math.log10(spread))))
    return f"{score:.{digits}f}"


def one_in(rate: float) -> str:
    """Return `one in 97` for 0.0103; rates above a third are better said as percentages."""
    if rate <= 0:
        return "none"
    return f"one in {round(1 / rate):,}" if rate <= 1 / 3 else percent(rate)


def slug(name: str) -> str:
    """Return a name that serves in a file name and in an address: `LFW (two folds)` becomes `lfw-two-folds`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "set"


def count_of(number: int, one: str, many: str) -> str:
    """Return `1 person`, `1,234 people`."""
    return f"{number:,} {one if number == 1 else many}"


def headline(record: Mapping[str, Any], others: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return the sentences to remember about a system: what its threshold costs, and what the others' cost.

    Args:
        record: of the system.
        others: records of baselines on the same comparisons.
    """
    point, name = record["headline_point"], record["system"]["name"]
    if point is None:
        eer = record["eer"]
        return (
            f"At equal error, {name} takes {percent_of(eer)} {interval_of(eer)} of strangers for the same person and "
            f"refuses as many true pairs. The data supports none of the false match rates that were asked for."
        )
    fmr, fnmr = point["achieved_fmr"], point["fnmr"]
    often = one_in(fmr["value"])
    strangers = (
        "no pair" if fmr["errors"] == 0 else f"{often} pairs" if often.startswith("one") else f"{often} of pairs"
    )
    said = (
        f"At the threshold {score_of(point['threshold'], record)}, {name} takes {strangers} of strangers for the same "
        f"person ({fmr['errors']:,} of {fmr['trials']:,}) and refuses {percent_of(fnmr)} {interval_of(fnmr)} of true "
        f"pairs ({fnmr['errors']:,} of {fnmr['trials']:,})."
    )
    compared = [
        f"{other['system']['name']} {percent_of(other['headline_point']['fnmr'])}"
        for other in others
        if other["headline_point"] and other["headline_point"]["target_fmr"] == point["target_fmr"]
    ]
    if compared:
        said += f" At the same rate of false matches, true pairs refused: {', '.join(compared)}."
    return said


def limits(record: Mapping[str, Any]) -> list[str]:
    """Return what the data of a record cannot support, a sentence each."""
    counts = record["counts"]
    said = list(record["caveats"])
    if counts["identities"] is None:
        said.append(f"The file does not say who is compared with whom. {record['interval_method']}")
    else:
        images = "" if counts["images"] is None else f"made from {count_of(counts['images'], 'image', 'images')} "
        said.append(
            f"The {counts['mated']:,} mated and {counts['non_mated']:,} non-mated comparisons are {images}"
            f"of {count_of(counts['identities'], 'person', 'people')}; "
            f"pairs that share a person say less than pairs that do not. {record['interval_method']}"
        )
    if counts["broken"]:
        said.append(
            f"{count_of(counts['broken'], 'image', 'images')} could not be decoded and took no part; the "
            f"{count_of(counts['pairs_left_out'], 'comparison', 'comparisons')} with them are missing from all numbers."
        )
    smallest = min(counts["mated"], counts["non_mated"])
    if smallest:
        said.append(
            f"Zero errors in {smallest:,} comparisons would still leave a rate of up to {percent(3 / smallest, 2)} "
            "possible (rule of three, 95 %)."
        )
    return said


def lopsided(record: Mapping[str, Any]) -> bool:
    """Return whether one answer for all comparisons is right so often that accuracy is no measure."""
    accuracy = record["accuracy"]
    return accuracy is not None and accuracy["trivial"] > MOST_OF_A_KIND


def one_line(name: str, *, accuracy: Estimate | None, eer: Estimate) -> str:
    """Return a result in one line for logs: accuracy where there are folds, and EER, with intervals."""
    parts = [] if accuracy is None else [f"accuracy {percent_of(accuracy)} {interval_of(accuracy)}"]
    parts.append(f"EER {percent_of(eer)} {interval_of(eer)}")
    return f"{name}: " + ", ".join(parts).replace("\u00a0", " ")
