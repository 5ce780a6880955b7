"""One change to a gallery in SQLite: rows inside a transaction, vectors in slots that nobody uses yet."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from itertools import count, islice
from typing import Any

import numpy as np

from marginface.search.settings import Person, Samples, Vectors
from marginface.search.sqlite_tables import append_entry
from marginface.search.vectors import VectorFile

PEOPLE = "SELECT id, name, (SELECT count(*) FROM samples WHERE person = people.id), sequence FROM people"


class SQLiteWriter:
    """One transaction; `BEGIN IMMEDIATE` has made it the only one."""

    def __init__(self, db: sqlite3.Connection, samples: VectorFile, templates: VectorFile) -> None:
        self._db, self._samples, self._templates = db, samples, templates
        # taken before anything is freed: until the commit, old slots must keep what they hold
        self._free_samples = _free(db, "samples", "slot")
        self._free_templates = _free(db, "people", "template")
        self.freed_samples: list[int] = []
        self.freed_templates: list[int] = []
        self.written_samples: list[int] = []
        self.written_templates: list[int] = []
        self.removed = False

    def find(self, name: str) -> Person | None:
        row = self._db.execute(f"{PEOPLE} WHERE name = ?", (name,)).fetchone()
        return None if row is None else Person(*row)

    def log(self, event: str, person_id: str, detail: Mapping[str, Any]) -> int:
        return append_entry(self._db, event, person_id, detail)

    def put(self, person: Person, samples: Samples, template: Vectors, *, replace: bool) -> None:
        if replace:
            self._free_samples_of(person.person_id)
        self._free_template_of(person.person_id)
        owner = {"person_id": person.person_id, "name": person.name, "sequence": person.sequence}
        slots = list(islice(self._free_samples, len(samples)))
        self.written_samples += slots
        self._samples.write(slots, samples.unit, qualities=samples.qualities, norms=samples.norms, **owner)  # type: ignore[arg-type]
        slot = next(self._free_templates)
        self.written_templates.append(slot)
        ones = np.ones(1, np.float32)
        self._templates.write([slot], template[None], qualities=ones, norms=ones, **owner)  # type: ignore[arg-type]
        self._db.execute(
            "INSERT INTO people VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET template = excluded.template, "
            "sequence = excluded.sequence",
            (person.person_id, person.name, slot, person.sequence),
        )
        first = self._db.execute("SELECT count(*) FROM samples WHERE person = ?", (person.person_id,)).fetchone()[0]
        rows = [
            (s, person.person_id, first + i, crop) for i, (s, crop) in enumerate(zip(slots, samples.crops, strict=True))
        ]
        self._db.executemany("INSERT INTO samples VALUES (?, ?, ?, ?)", rows)

    def remove(self, person_id: str, sequence: int) -> None:
        self._free_samples_of(person_id)
        self._free_template_of(person_id)
        self._db.execute("DELETE FROM people WHERE id = ?", (person_id,))
        self._db.execute("INSERT INTO deletions VALUES (?, 0)", (sequence,))
        self.removed = True

    def _free_samples_of(self, person_id: str) -> None:
        rows = self._db.execute("DELETE FROM samples WHERE person = ? RETURNING slot", (person_id,)).fetchall()
        self.freed_samples += [slot for (slot,) in rows]

    def _free_template_of(self, person_id: str) -> None:
        rows = self._db.execute("SELECT template FROM people WHERE id = ?", (person_id,)).fetchall()
        self.freed_templates += [slot for (slot,) in rows]


def _free(db: sqlite3.Connection, table: str, column: str) -> Iterator[int]:
    """Yield the slots that nobody uses, lowest first."""
    num_used, last = db.execute(f"SELECT count(*), max({column}) FROM {table}").fetchone()
    if num_used == (0 if last is None else last + 1):
        return count(num_used)  # no gaps, as long as nobody was removed
    used = {slot for (slot,) in db.execute(f"SELECT {column} FROM {table}")}
    return (slot for slot in count() if slot not in used)
