"""What the page shows of a report's record, arranged: the sets, the table of all sets, and who can be told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import words
from .words import slug

Record = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class SetView:
    """One set of comparisons or searches with all systems that were judged on it."""

    name: str
    prefix: str
    """Of the names of its figures and headings; empty where the report is about one set."""
    said: Record
    """Its sentences: headline, what it can and cannot say."""
    records: Sequence[Record]
    """One a system; the last is the report's subject."""

    @property
    def main(self) -> Record:
        """The record of the report's subject."""
        return self.records[-1]

    @property
    def is_search(self) -> bool:
        """Whether galleries are searched."""
        return is_search(self.main)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One number that all systems of a set have, or None where one lacks it."""

    label: str
    estimates: Sequence[Record | None]
    higher_is_better: bool = False

    @property
    def verdicts(self) -> list[str]:
        """For each system "best", "tied" with the best (their intervals overlap), "level" (as good), or nothing."""
        known = [(i, one) for i, one in enumerate(self.estimates) if one is not None]
        found = [""] * len(self.estimates)
        if len(known) < 2:
            return found
        sign = -1 if self.higher_is_better else 1
        best, leader = min(known, key=lambda one: sign * one[1]["value"])
        level = [i for i, one in known if one["value"] == leader["value"]]
        for i, one in known:
            if overlap(one, leader):
                found[i] = "tied"
        for i in level:
            found[i] = "level"
        if level == [best]:
            found[best] = "best"
        return found


@dataclass(frozen=True, kw_only=True)
class OverviewRow:
    """A row of the table of all sets: one measure of one set, with a cell for each system of the report."""

    set_name: str
    measure: Measure
    is_first: bool
    """Of its set."""
    num_rows: int
    """Of its set."""


@dataclass(frozen=True, kw_only=True)
class SearchRow:
    """A row of the table of searches: one system in one gallery."""

    record: Record
    gallery: str
    cells: Sequence[tuple[Record | None, str]]
    """Estimate and verdict among the systems in this gallery: ranks, average precision if any, misses."""
    thin: Sequence[bool]
    """Whether each cell rests on few false positives."""
    is_first: bool
    """Of its system."""
    refusal: str
    """What stands in a cell without an estimate."""


def is_search(record: Record) -> bool:
    """Return whether a record is of searches rather than of comparisons."""
    return "galleries" in record


def overlap(one: Record, other: Record) -> bool:
    """Return whether the intervals of two estimates share a value; where one has none, whether it can be told."""
    if any(end is None for e in (one, other) for end in (e["low"], e["high"])):
        return True
    return bool(one["low"] <= other["high"] and other["low"] <= one["high"])


def sets_of(report: Record) -> list[SetView]:
    """Return the sets of a report in its order."""
    several = len(report["sets"]) > 1
    return [
        SetView(
            name=said["name"],
            prefix=f"{slug(said['name'])}-" if several else "",
            said=said,
            records=[one for one in report["systems"] if one["protocol"]["name"] == said["name"]],
        )
        for said in report["sets"]
    ]


def system_names(report: Record) -> list[str]:
    """Return the names of all systems, in the order in which they first occur."""
    return list(dict.fromkeys(str(one["system"]["name"]) for one in report["systems"]))


def measures_of(records: Sequence[Record]) -> list[Measure]:
    """Return the measures by which the systems of one set are compared."""
    return list(_search_measures(records) if is_search(records[-1]) else _comparison_measures(records))


def overview(report: Record) -> list[OverviewRow]:
    """Return the rows of the table of all sets, every system of the report a column."""
    columns = system_names(report)
    rows = []
    for view in sets_of(report):
        place = {str(one["system"]["name"]): i for i, one in enumerate(view.records)}
        measures = measures_of(view.records)
        for number, one in enumerate(measures):
            spread = [one.estimates[place[name]] if name in place else None for name in columns]
            measure = Measure(label=one.label, estimates=spread, higher_is_better=one.higher_is_better)
            rows.append(OverviewRow(set_name=view.name, measure=measure, is_first=number == 0, num_rows=len(measures)))
    return rows


def _comparison_measures(records: Sequence[Record]) -> Iterator[Measure]:
    main = records[-1]
    yield Measure(label="Equal error rate", estimates=[one["eer"] for one in records])
    if main["accuracy"] and not words.lopsided(main):
        label = f"Accuracy, {main['accuracy']['folds']} folds"
        yield Measure(label=label, estimates=[one["accuracy"] for one in records], higher_is_better=True)
    if main["accuracy_magface"]:
        convention = [one["accuracy_magface"] for one in records]
        yield Measure(label="Accuracy by MagFace's convention", estimates=convention, higher_is_better=True)
    for i, point in enumerate(main["operating_points"]):
        if point["fnmr"]:
            label = f"True pairs refused at FMR {words.rate_name(point['target_fmr'])}"
            yield Measure(label=label, estimates=[_at(one["operating_points"], i, "fnmr") for one in records])


def _search_measures(records: Sequence[Record]) -> Iterator[Measure]:
    for name, _ in search_rows(records[-1]):
        rates = [dict(search_rows(one)).get(name) for one in records]
        main = rates[-1]
        assert main is not None  # it is a row of the last record
        where = f", {name}" if len(search_rows(records[-1])) > 1 else ""
        for i, one in list(enumerate(main["ranks"]))[:1]:
            found = [_at(r["ranks"], i, None) if r else None for r in rates]
            yield Measure(label=f"Rank-{one['rank']}{where}", estimates=found, higher_is_better=True)
        for i, point in enumerate(main["fnir_at_fpir"]):
            if point["fnir"]:
                label = f"Missed at FPIR {words.rate_name(point['target_fpir'])}{where}"
                found = [_at(r["fnir_at_fpir"], i, "fnir") if r else None for r in rates]
                yield Measure(label=label, estimates=found)


_ERRORS = {"fnir_at_fpir": "fnir", "fnmr_at_fmr": "fnmr"}
"""Lists of operating points, and what is counted at each."""


def search_table(records: Sequence[Record]) -> list[SearchRow]:
    """Return the rows of the systems of one set of searches: each gallery, the average, all galleries as one."""
    rows = [[*one["galleries"], *filter(None, (one["average"], one["joined"]))] for one in records]
    first = rows[-1][0]
    columns: list[tuple[str, int | None]] = [("ranks", i) for i in range(len(first["ranks"]))]
    if first["mean_average_precision"]:
        columns.append(("mean_average_precision", None))
    columns += [("fnir_at_fpir", i) for i in range(len(first["fnir_at_fpir"]))]
    return _searched(records, rows, columns)


def verification_table(records: Sequence[Record]) -> list[SearchRow]:
    """Return the rows of the systems of one set with distractors: FNMR at each FMR, for each number of them."""
    rows = [one["verification"] for one in records]
    return _searched(records, rows, [("fnmr_at_fmr", i) for i in range(len(rows[-1][0]["fnmr_at_fmr"]))])


def _searched(
    records: Sequence[Record], rows: Sequence[Sequence[Record]], columns: Sequence[tuple[str, int | None]]
) -> list[SearchRow]:
    """Return a row of cells for each system and gallery, `rows[system][gallery]`."""
    made = []
    for i, galleries in enumerate(rows):
        for g, gallery in enumerate(galleries):
            measures = [
                Measure(
                    label=name,
                    estimates=[_estimate(of[g], name, at) if g < len(of) else None for of in rows],
                    higher_is_better=name not in _ERRORS,
                )
                for name, at in columns
            ]
            made.append(
                SearchRow(
                    record=records[i],
                    gallery=str(gallery["name"]),
                    cells=[(one.estimates[i], one.verdicts[i]) for one in measures],
                    thin=[name in _ERRORS and _is_thin(gallery[name], at) for name, at in columns],
                    is_first=g == 0,
                    refusal="no strangers" if gallery.get("non_mated_searches") == 0 else "too little data",
                )
            )
    return made


def _estimate(gallery: Record, name: str, at: int | None) -> Record | None:
    found: Any = gallery[name]
    if at is None or not found:
        return found or None
    one: Record | None = found[at][_ERRORS[name]] if name in _ERRORS else found[at]
    return one


def _is_thin(points: Sequence[Record], at: int | None) -> bool:
    return bool(points) and at is not None and points[at]["support"] == "thin"


def search_rows(record: Record) -> list[tuple[str, Record]]:
    """Return what a search is told by: the average over galleries where there is one, or else each gallery.

    Ranks in all galleries as one come first, where a protocol has them.
    """
    if record["average"] is not None and len(record["galleries"]) > 1:
        joined = [(str(record["joined"]["name"]), record["joined"])] if record["joined"] else []
        return [*joined, ("mean of the galleries", record["average"])]
    return [(str(one["name"]), one) for one in record["galleries"]]


def _at(points: Sequence[Record], place: int, key: str | None) -> Record | None:
    if place >= len(points):
        return None
    found: Record | None = points[place] if key is None else points[place][key]
    return found
