"""A gallery with a damaged database, rebuilt from its file of samples: each slot says whose it is.

What a process had written but not committed may come back with it; what was acknowledged does. The audit log goes on
if all of it can still be read; otherwise a new one begins with the entry of the repair.
"""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from marginface.errors import InputError
from marginface.search.audit_log import AuditEntry, check_chain
from marginface.search.pooling import pool
from marginface.search.sqlite_tables import append_entry, in_words, making_tables
from marginface.search.store_sqlite import beside, sync_folder
from marginface.search.vectors import VectorFile


@dataclass(frozen=True)
class RepairReport:
    """What a repair brought back."""

    num_people: int
    num_images: int
    damaged_images: int
    """Slots whose own checksum does not fit: they are lost, and were erased."""
    log_goes_on: bool
    """Whether the whole audit log could be read; else a new one begins."""
    damaged_database: Path | None
    """Where the old database was put; None if there was none."""


def repair_gallery(path: Path) -> RepairReport:
    """Rebuild the database and the templates of the gallery at `path`; no other process may have it open.

    Raises:
        InputError: the file of samples is missing or not one.
        WorkError: the disk is full; what was there before is untouched.
    """
    samples = VectorFile(beside(path, "samples"))
    filled = samples.filled(np.arange(samples.num_slots))
    damaged = samples.damaged(filled)
    good = np.setdiff1d(filled, damaged)
    aside = beside(path, "damaged")
    old = path if path.exists() else aside
    entries, rows = _still_readable(old, good.tolist())
    newest = max(samples.slots()["sequence"][good].tolist(), default=0)
    log_goes_on = bool(entries) and not check_chain(entries) and entries[-1].sequence >= newest

    people: dict[tuple[str, str], list[int]] = defaultdict(list)
    for slot in sorted(good.tolist(), key=lambda s: rows.get(s, (s, None))[0]):
        people[samples.owner(slot)].append(slot)
    names = [name for _, name in people]
    if len(set(names)) < len(names):
        raise InputError(f"{samples.path}: one name belongs to two people; restore the gallery from an export.")
    images = {person_id: len(slots) for (person_id, _), slots in people.items()}
    new_templates = beside(path, "templates.partial")
    new_templates.unlink(missing_ok=True)
    with in_words(path):
        templates = VectorFile.create(new_templates, samples.settings)
        with making_tables(beside(path, "partial"), samples.settings) as db:
            db.executemany(
                "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)", [astuple(e) for e in entries] if log_goes_on else []
            )
            detail = {"images": images, "damaged_images": len(damaged), "log_goes_on": log_goes_on}
            sequence = append_entry(db, "repair", "", detail)
            for template, ((person_id, name), slots) in enumerate(people.items()):
                records = samples.slots()[slots]
                templates.write(
                    [template],
                    pool(records["vector"], records["quality"])[None],
                    person_id=person_id,
                    name=name,
                    sequence=sequence,
                    qualities=np.ones(1, np.float32),
                    norms=np.ones(1, np.float32),
                )
                db.execute("INSERT INTO people VALUES (?, ?, ?, ?)", (person_id, name, template, sequence))
                kept = [(s, person_id, i, rows.get(s, (0, None))[1]) for i, s in enumerate(slots)]
                db.executemany("INSERT INTO samples VALUES (?, ?, ?, ?)", kept)
        templates.sync()
        templates.close()
        if path.exists():
            os.replace(path, aside)
        for ending in ("-wal", "-shm"):  # of the old database: what they held was read above
            path.with_name(path.name + ending).unlink(missing_ok=True)
        os.replace(new_templates, beside(path, "templates"))
        os.replace(beside(path, "partial"), path)
        sync_folder(path)
        samples.erase(damaged.tolist())
    samples.close()
    kept_aside = aside if aside.exists() else None
    return RepairReport(len(people), len(good), len(damaged), log_goes_on, kept_aside)


def _still_readable(path: Path, slots: Sequence[int]) -> tuple[list[AuditEntry], dict[int, tuple[int, bytes | None]]]:
    """Return the audit entries, and position and crop by slot, as far as a damaged database gives them."""
    entries: list[AuditEntry] = []
    rows: dict[int, tuple[int, bytes | None]] = {}
    if not path.exists():
        return entries, rows
    db = sqlite3.connect(path)
    try:
        with _as_far_as_it_goes():
            last = db.execute("SELECT max(sequence) FROM audit").fetchone()[0] or 0
            for sequence in range(1, last + 1):
                with _as_far_as_it_goes():
                    row = db.execute("SELECT * FROM audit WHERE sequence = ?", (sequence,)).fetchone()
                    entries += [AuditEntry(*row)] if row is not None else []
        for slot in slots:
            with _as_far_as_it_goes():
                row = db.execute("SELECT position, crop FROM samples WHERE slot = ?", (slot,)).fetchone()
                if row is not None:
                    rows[slot] = row
    finally:
        db.close()
    return entries, rows


@contextmanager
def _as_far_as_it_goes() -> Iterator[None]:
    try:
        yield
    except (sqlite3.DatabaseError, TypeError, UnicodeDecodeError):
        return
