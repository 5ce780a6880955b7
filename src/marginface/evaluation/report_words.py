"""Sentences of a report about whole sets: what stands at the top, what a set can say, and what it cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from marginface.metrics.support import supported_rate
from marginface.metrics.verification import ERRORS_NEEDED

from . import words
from .report_view import Measure, is_search, measures_of, search_rows

Record = Mapping[str, Any]


def set_words(records: Sequence[Record]) -> dict[str, Any]:
    """Return name, headline, what a set can say and what it cannot; the last record is the report's subject."""
    main = records[-1]
    search = is_search(main)
    return {
        "name": main["protocol"]["name"],
        "headline": _search_headline(main) if search else words.headline(main, records[:-1]),
        "can": _can(records),
        "cannot": [*(_search_limits(main) if search else words.limits(main)), *_without_discard(main)],
    }


def headline(sets: Sequence[Record]) -> str:
    """Return the sentences at the top of a page: those of its only set, or how the sets are laid out."""
    if len(sets) == 1:
        return str(sets[0]["headline"])
    names = [str(one["name"]) for one in sets]
    between = "; " if any("," in name for name in names) else ", "
    return f"{len(sets)} sets: {between.join(names[:-1])} and {names[-1]}. {sets[0]['headline']}"


def _without_discard(record: Record) -> list[str]:
    """Return why there is no error versus discard, of records that could have it."""
    if record["quality"] is not None or record["protocol"]["kind"] == "scores":
        return []
    return ["Error versus discard is not drawn: at no rate that this data carries does anything go wrong."]


def _can(records: Sequence[Record]) -> list[str]:
    main = records[-1]
    said = [_search_reach(main) if is_search(main) else _reach(main)]
    measures = measures_of(records)
    if len(records) > 1 and measures:
        said.append(_told_apart(records, measures[-1]))
    if not is_search(main) and main["groups"] is not None:
        said.append(f"It shows what one threshold does to {len(main['groups']['groups'])} groups of people.")
    return said


def _reach(record: Record) -> str:
    counts = record["counts"]
    least = supported_rate(max(counts["non_mated"], 1))
    people = f" of {words.count_of(counts['identities'], 'person', 'people')}" if counts["identities"] else ""
    if least >= 1:
        return f"Its {counts['non_mated']:,} non-mated comparisons{people} carry no false match rate at all."
    return (
        f"Its {counts['non_mated']:,} non-mated comparisons{people} carry false match rates down to "
        f"{words.one_in(least)}: there {ERRORS_NEEDED} false matches are to be expected, and a threshold can be set."
    )


def _search_reach(record: Record) -> str:
    strangers = min(one["non_mated_searches"] for one in record["galleries"])
    mated = sum(one["mated_searches"] for one in record["galleries"])
    people = words.count_of(record["counts"]["people"], "person", "people")
    found = f"Its {mated:,} mated searches for {people} say how often somebody who is enrolled is found"
    if strangers <= ERRORS_NEEDED:
        return f"{found}."
    least = supported_rate(strangers)
    if least > 1 / 3:
        return f"{found}; its {strangers:,} searches for strangers are too few to set a threshold by."
    least_words = words.one_in(least)
    return f"{found}; its {strangers:,} searches for strangers carry false positive rates down to {least_words}."


def _told_apart(records: Sequence[Record], measure: Measure) -> str:
    names = [str(one["system"]["name"]) for one in records]
    verdicts = measure.verdicts
    leaders = [name for name, verdict in zip(names, verdicts, strict=True) if verdict in ("best", "level")]
    if not leaders:
        return f"{measure.label}: only one system has this number."
    best = _listed(leaders)
    tied = [name for name, verdict in zip(names, verdicts, strict=True) if verdict == "tied"]
    behind = [
        name
        for name, verdict, one in zip(names, verdicts, measure.estimates, strict=True)
        if not verdict and one is not None
    ]
    label = f"“{measure.label}”"
    parts = []
    if behind:
        verb = "is" if len(leaders) == 1 else "are"
        parts.append(f"By {label}, {best} {verb} better than {_listed(behind)}: the intervals lie apart.")
    if tied:
        parts.append(f"By {label}, it does not tell {best} from {_listed(tied)}: the intervals overlap.")
    if len(leaders) > 1:
        parts.append(f"By {label}, it does not tell {best} apart at all.")
    return " ".join(parts)


def _search_headline(record: Record) -> str:
    name, rates = search_rows(record)[0]
    first = rates["ranks"][0]
    of = f" ({name})" if len(record["galleries"]) > 1 else ""
    said = (
        f"{record['system']['name']} puts the right person first in {words.percent_of(first)} "
        f"{words.interval_of(first)} of {rates['mated_searches']:,} searches among {rates['entries']:,} entries{of}."
    )
    open_set = search_rows(record)[-1][1]  # joined galleries have no strangers
    points = [one for one in open_set["fnir_at_fpir"] if one["fnir"] is not None]
    firm = [one for one in points if one["support"] == "supported"] or points[-1:]
    if firm:
        point = min(firm, key=lambda one: float(one["target_fpir"]))
        said += (
            f" Where {words.one_in(point['target_fpir'])} searches for strangers may name somebody, it misses "
            f"{words.percent_of(point['fnir'])} {words.interval_of(point['fnir'])} of those who are enrolled."
        )
    return said


def _search_limits(record: Record) -> list[str]:
    counts = record["counts"]
    said = [*record["caveats"], record["convention"]]
    if counts["missing_images"]:
        said.append(
            f"{words.count_of(counts['missing_images'], 'image', 'images')} could not be used, and "
            f"{words.count_of(counts['left_out'], 'template', 'templates')} of nothing else took no part."
        )
    return said


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
