"""The report: one HTML page to send to a colleague, its JSON record beside it, and the figures as files.

    report.html     one file that asks for nothing from outside: figures and faces stand in it as `data:` addresses
    report.json     the record: every number, curve and sentence of the page
    pictures/       the faces of the strips, named by the sha256 of their bytes, which the record holds
    plots/          the figures
    cards/<system>/README.md    a model card in Hugging Face's form, of every system that has a card

The page, the figures and the cards are views of the record and of the pictures, nothing else: `regenerate` makes them
again, byte for byte with the same versions of this package and of matplotlib. Pictures are no part of the record, so
that numbers can be passed on where faces may not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from marginface.config import dump
from marginface.errors import InputError, WorkError
from marginface.models.card import ModelCard
from marginface.records.record import RecordSource
from marginface.records.write_aside import new_file

from . import report_words, words
from .card_page import model_card
from .comparison import Evaluation
from .identify import Identification
from .pair_strips import as_address, small_pictures, strip_keys
from .report_draw import draw, render
from .report_quality import quality_record
from .report_view import is_search
from .training_curves import read_training_log

FORMAT = "marginface.report/3"
PAGE, RECORD, PICTURES, PLOTS, CARDS = "report.html", "report.json", "pictures", "plots", "cards"

Sources = Sequence[RecordSource] | Mapping[str, Sequence[RecordSource]]
"""Where pictures come from: for all sets, or by the name of the set."""
Pictures = Mapping[str, Mapping[str, bytes]]
"""JPEG files by set and key."""


class HasRecord(Protocol):
    """What the report needs of an evaluation."""

    def to_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True, eq=False)
class Report:
    """A record with the pictures that its page shows."""

    record: Mapping[str, Any]
    pictures: Pictures


def write_report(
    folder: Path,
    evaluations: Sequence[HasRecord],
    *,
    title: str,
    training_log: Path | None = None,
    sources: Sources = (),
    notes: Sequence[str] = (),
    recipe: str | None = None,
    cards: Mapping[str, ModelCard] | None = None,
    created: datetime | None = None,
) -> Path:
    """Write a report into `folder`; return the page's path.

    Args:
        folder: made if it is missing; files of an earlier report in it are replaced.
        evaluations: of comparisons or searches, set by set; within a set the systems, baselines first. The last
            system of a set is the one the report is about.
        title: heading of the page.
        training_log: JSON lines of the run that made the last system, for its curves.
        sources: where the pictures of the strips come from; without them the strips show names and scores only.
        notes: sentences under the table: what stands in for what, what was changed.
        recipe: the resolved recipe as YAML text, shown folded at the end.
        cards: of systems, by name: each gets a model card with these numbers.
        created: time of the report, UTC; now unless given.

    Raises:
        WorkError: the folder cannot be written.
        InputError: no evaluation, two systems of one name on one set, or systems of one set that were judged on
            different numbers of comparisons.
    """
    records = [_with_quality(one) for one in evaluations]
    _check(records)
    names = list(dict.fromkeys(str(one["protocol"]["name"]) for one in records))
    sets = [report_words.set_words([r for r in records if r["protocol"]["name"] == name]) for name in names]
    pictures = {
        name: small_pictures(
            strip_keys([r for r in records if r["protocol"]["name"] == name][-1:]),
            sources.get(name, ()) if isinstance(sources, Mapping) else sources,
        )
        for name in names
    }
    record = {
        "format": FORMAT,
        "title": title,
        "created": (created or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds"),
        "marginface_version": metadata.version("marginface"),
        "headline": report_words.headline(sets),
        "notes": list(notes),
        "sets": sets,
        "systems": records,
        "cards": {name: dump(card) for name, card in (cards or {}).items()},
        "training": read_training_log(training_log) if training_log is not None else None,
        "recipe": recipe,
        "pictures": {name: {key: _digest(jpeg) for key, jpeg in found.items()} for name, found in pictures.items()},
    }
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkError(f"{folder}: the report cannot be written ({error.strerror}); choose another folder.") from error
    _write(folder / RECORD, text.encode())
    for found in pictures.values():
        for jpeg in found.values():
            _write(folder / PICTURES / _file_name(_digest(jpeg)), jpeg)
    return write_views(folder, Report(json.loads(text), pictures))


def read_report(path: Path) -> Report:
    """Return a report from its record and the pictures beside it.

    Args:
        path: `report.json`.

    Raises:
        InputError: not a report of this version, or a picture that is missing or not the one of the record.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: this record of a report cannot be read ({error}).") from error
    found = record.get("format") if isinstance(record, dict) else None
    if found != FORMAT:
        raise InputError(f"{path}: expected the format {FORMAT!r}, got {found!r}; evaluate again to make a new report.")
    pictures = {
        name: {key: _read_picture(path.parent / PICTURES, digest) for key, digest in digests.items()}
        for name, digests in record["pictures"].items()
    }
    return Report(record, pictures)


def regenerate(path: Path, folder: Path | None = None) -> Path:
    """Make page, figures and model cards again from `report.json` and the pictures beside it; return the page's path.

    Args:
        path: the record.
        folder: where they go; beside the record unless given.

    Raises:
        InputError: whatever `read_report` refuses.
        WorkError: the folder cannot be written.
    """
    return write_views(path.parent if folder is None else folder, read_report(path))


def write_views(folder: Path, report: Report) -> Path:
    """Write everything that is made from a record and its pictures; return the page's path."""
    plots = draw(report.record)
    for plot in plots.values():
        _write(folder / PLOTS / f"{plot.name}.png", plot.png)
        _write(folder / PLOTS / f"{plot.name}.svg", plot.svg)
    for name in report.record["cards"]:
        _write(folder / CARDS / words.slug(name) / "README.md", model_card(report.record, name).encode())
    addresses = {
        name: {key: as_address(jpeg) for key, jpeg in found.items()} for name, found in report.pictures.items()
    }
    page = folder / PAGE
    _write(page, render(report.record, plots=plots, pictures=addresses).encode())
    return page


def _with_quality(evaluation: HasRecord) -> dict[str, Any]:
    """Return what was judged as a record that says what image quality is worth on it too."""
    record = evaluation.to_json()
    if "quality" not in record:
        known = isinstance(evaluation, Evaluation | Identification)
        record["quality"] = quality_record(evaluation) if known else None  # type: ignore[arg-type]  # it is known
    return record


def _check(records: Sequence[Mapping[str, Any]]) -> None:
    if not records:
        raise InputError("A report needs at least one evaluation.")
    for name in dict.fromkeys(r["protocol"]["name"] for r in records):
        here = [r for r in records if r["protocol"]["name"] == name]
        systems = [r["system"]["name"] for r in here]
        twice = sorted({n for n in systems if systems.count(n) > 1})
        if twice:
            raise InputError(f"Two systems are named {twice[0]!r}; a report tells systems apart by name.")
        if len({_size(r) for r in here}) > 1:
            raise InputError(
                f"The systems were judged on different numbers of comparisons of {name}, so one table would mislead; "
                "evaluate them on the same pairs."
            )


def _size(record: Mapping[str, Any]) -> tuple[int, ...]:
    if is_search(record):
        return tuple(one[kind] for one in record["galleries"] for kind in ("mated_searches", "non_mated_searches"))
    return record["counts"]["mated"], record["counts"]["non_mated"]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _file_name(digest: str) -> str:
    return f"{digest[:20]}.jpg"


def _read_picture(folder: Path, digest: str) -> bytes:
    path = folder / _file_name(digest)
    try:
        found = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: this picture of the report is missing ({error.strerror}); the folder {folder.name} belongs to "
            "report.json and travels with it."
        ) from error
    if _digest(found) != digest:
        raise InputError(f"{path}: this is not the picture that the report was made with.")
    return found


def _write(path: Path, content: bytes) -> None:
    with new_file(path) as aside:
        aside.write_bytes(content)
