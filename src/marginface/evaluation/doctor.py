"""The data doctor's visit: records -> embeddings and prints -> findings -> a page, a table and an exclusion list.

visit/
  report.html     what was found, with pictures
  findings.csv    a line a finding
  exclude.txt     keys of images to leave out: train on `tar:faces.tar?exclude=visit/exclude.txt`
  doctor.json     counts, the scores that separate, where all comes from
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from marginface.curation.doctor import Diagnosis, DoctorConfig, examine
from marginface.curation.findings import EXCLUDED, KINDS, Kind, exclusion_list
from marginface.curation.prints import Prints, image_prints
from marginface.errors import InputError, WorkError, one_of
from marginface.records.embedding_table import EmbeddingTable
from marginface.records.record import RecordSource

from .doctor_page import doctor_page
from .embed import Embedder, embed_records

FORMAT = "marginface.doctor/1"
Show = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Visit:
    """What a visit leaves."""

    diagnosis: Diagnosis
    excluded: Sequence[str]
    page: Path


def visit(
    source: RecordSource,
    embedder: Embedder,
    out: Path,
    *,
    config: DoctorConfig | None = None,
    against: RecordSource | None = None,
    exclude: Sequence[str] = EXCLUDED,
    num_workers: int = 0,
    num_threads: int = 2,
    pictures: bool = True,
    command: str = "",
    show: Show | None = None,
) -> Visit:
    """Examine a data set and write what was found into `out`. Images that cannot be decoded are counted and excluded.

    Args:
        source: aligned faces with names.
        embedder: a model that was not trained on these names; errors that it has learnt by heart it cannot see.
        out: the folder.
        config: how sure a finding has to be.
        against: a set that should share nobody with the first, such as the one to judge on.
        exclude: kinds of findings whose images go into exclude.txt.
        num_workers: processes that decode for the model.
        num_threads: that decode for the prints.
        pictures: put small pictures of the faces on the page.
        command: what was typed.
        show: called with (what is being done, how much is done, how much there is).

    Raises:
        InputError: an unknown kind, or data that cannot be examined.
        WorkError: the folder cannot be written.
    """
    for kind in exclude:
        if kind not in KINDS:
            raise InputError(f"there is no finding of the kind {kind!r}{one_of(kind, tuple(KINDS))}.")
    table, prints = _looked_at(source, embedder, num_workers, num_threads, show, "")
    other = None if against is None else _looked_at(against, embedder, num_workers, num_threads, show, "other set, ")
    diagnosis = examine(
        table, prints, config, other=other, progress=show and (lambda done, total: show("comparing", done, total))
    )
    broken = list(table.meta.get("broken", ()))
    kinds: list[Kind] = [kind for kind in KINDS if kind in exclude]
    excluded = sorted({*exclusion_list(diagnosis.findings, kinds), *broken})
    record: dict[str, Any] = {
        "format": FORMAT,
        "marginface_version": metadata.version("marginface"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "data": source.location,
        "against": None if against is None else against.location,
        "model": {"name": embedder.name, "fingerprint": embedder.fingerprint},
        "config": asdict(config or DoctorConfig()),
        "images": diagnosis.num_images,
        "people": diagnosis.num_people,
        "broken": broken,
        "marks": asdict(diagnosis.marks),
        "findings": dict(diagnosis.counts),
        "excluded_kinds": kinds,
        "excluded": len(excluded),
    }
    sources = [source] if against is None else [source, against]
    page = doctor_page(record, diagnosis, table, sources=sources if pictures else [])
    try:
        out.mkdir(parents=True, exist_ok=True)
        _write(out / "findings.csv", _csv(diagnosis, excluded))
        _write(out / "exclude.txt", "".join(f"{key}\n" for key in excluded))
        _write(out / "doctor.json", json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        _write(out / "report.html", page)
    except OSError as error:
        raise WorkError(f"{out}: the report cannot be written ({error.strerror}); choose another folder.") from error
    return Visit(diagnosis, excluded, out / "report.html")


def _looked_at(
    source: RecordSource, embedder: Embedder, num_workers: int, num_threads: int, show: Show | None, prefix: str
) -> tuple[EmbeddingTable, Prints]:
    """Return the embeddings of the images that can be decoded, and the prints of the same."""
    table = embed_records(
        embedder,
        source,
        flip="none",
        num_workers=num_workers,
        skip_broken=True,
        progress=show and (lambda done, total: show(f"{prefix}embedding", done, total)),
    )
    prints = image_prints(
        source,
        num_threads=num_threads,
        progress=show and (lambda done, total: show(f"{prefix}looking for copies", done, total)),
    )
    if len(table) < len(source):
        there = set(table.keys)
        kept = np.fromiter((key in there for key in source.keys), np.bool_, count=len(source))
        prints = Prints(prints.digest[kept], prints.tiny[kept])
    return table, prints


def _csv(diagnosis: Diagnosis, excluded: Sequence[str]) -> str:
    left_out = set(excluded)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["kind", "key", "person", "other_key", "other_person", "score", "own_score", "excluded"])
    for f in diagnosis.findings:
        own = "" if f.own_score is None else f"{f.own_score:.4f}"
        out = "yes" if f.key in left_out else "no"
        writer.writerow([f.kind, f.key, f.person, f.other_key, f.other_person, f"{f.score:.4f}", own, out])
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    aside = path.with_name(path.name + ".partial")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)
