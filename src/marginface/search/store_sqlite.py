"""A gallery on one machine: SQLite for people, audit log and deletions; two files of vectors beside it.

    team.db            people, which slots are theirs, the audit log, deletions, crops where they are kept
    team.db.samples    one slot an image: the lasting record, from which everything but the log can be rebuilt
    team.db.templates  one slot a person: what searches run over; derived

The order of a write makes it safe: vectors are written to free slots and synced, then SQLite commits (write-ahead
log, synchronous=FULL), then slots that are no longer used are overwritten by zeros. A process killed before the commit
leaves vectors that nobody refers to; one killed after it leaves slots to erase. Opening the gallery cleans up both.

Readers take no lock. Each search compares the last audit number before and after: a slot is erased or used anew only
after the commit that let go of it, so equal numbers mean that what was read was still valid.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from marginface.errors import InputError, WorkError
from marginface.search.approximate import ApproximateIndex, IndexConfig, build_index, search_approximate
from marginface.search.audit_log import AuditEntry
from marginface.search.exact import Found, Rows, search_exact
from marginface.search.settings import GallerySettings, Person, Samples, Vectors
from marginface.search.sqlite_tables import APPLICATION_ID, append_entry, connect, in_words, making_tables
from marginface.search.sqlite_writer import PEOPLE, SQLiteWriter
from marginface.search.vectors import VectorFile


@dataclass(frozen=True, eq=False)
class _Snapshot:
    """Who was enrolled after one audit entry."""

    sequence: int
    slots: Rows
    """Ascending slots of the templates."""
    names: list[str]
    """By position in `slots`."""


class SQLiteStore:
    """See the top of the file. Threads may share it; other processes open their own."""

    def __init__(self, path: Path, *, timeout_seconds: float) -> None:
        """Open a gallery, finishing what a killed process left undone.

        Raises:
            InputError: no gallery there, or files that do not belong together.
            WorkError: damaged; the sentence says how to rebuild it.
        """
        if not path.is_file():
            raise InputError(f"{path}: there is no gallery here; make one with `marginface gallery create`.")
        self.path = path
        self._timeout_seconds = timeout_seconds
        self._write_lock = threading.Lock()
        self._read_lock = threading.RLock()
        self._snapshot: _Snapshot | None = None
        self._index: ApproximateIndex | None = None
        with in_words(path):
            self._settings = _checked_settings(path)
            self._db = connect(path, timeout_seconds)  # for writing
            self._reader = connect(path, timeout_seconds)  # sees what is committed, while this process writes too
        self._samples = VectorFile(beside(path, "samples"))
        self._templates = VectorFile(beside(path, "templates"))
        for file in (self._samples, self._templates):
            if file.settings.gallery_id != self._settings.gallery_id:
                raise InputError(f"{file.path}: this file belongs to another gallery; restore the one of {path.name}.")
        self._finish_what_was_begun()

    @classmethod
    def create(cls, path: Path, settings: GallerySettings, *, timeout_seconds: float) -> SQLiteStore:
        """Make an empty gallery; the database comes last, so a half-made one is no gallery."""
        for file in (path, *(beside(path, end) for end in ("samples", "templates", "damaged"))):
            if file.exists():
                raise InputError(f"{file}: this is there already; choose another name for the gallery.")
        if not path.parent.is_dir():
            raise InputError(f"{path.parent}: there is no such folder to put a gallery in.")
        made = []
        try:
            for end in ("samples", "templates"):
                made.append(beside(path, end))
                VectorFile.create(made[-1], settings).close()
            made.append(beside(path, "partial"))
            with in_words(path), making_tables(made[-1], settings) as db:
                append_entry(db, "create", "", {"model": settings.model, "fingerprint": settings.fingerprint})
            os.replace(made[-1], path)
            sync_folder(path)
        except BaseException:
            for file in made:
                file.unlink(missing_ok=True)
            raise
        return cls(path, timeout_seconds=timeout_seconds)

    @property
    def location(self) -> str:
        return str(self.path)

    @property
    def settings(self) -> GallerySettings:
        return self._settings

    def num_people(self) -> int:
        return len(self.snapshot().slots)

    def people(self) -> list[Person]:
        return [Person(*row) for row in self._rows(f"{PEOPLE} ORDER BY name")]

    def samples(self, person_id: str) -> Samples:
        rows = self._rows("SELECT slot, crop FROM samples WHERE person = ? ORDER BY position", person_id)
        records = self._samples.slots()[[slot for slot, _ in rows]]
        crops = tuple(crop for _, crop in rows)
        return Samples(records["vector"].copy(), records["quality"].copy(), records["norm"].copy(), crops)

    def template(self, person_id: str) -> Vectors:
        ((slot,),) = self._rows("SELECT template FROM people WHERE id = ?", person_id)
        return np.array(self._templates.vectors()[slot])

    def search(self, queries: Vectors, top_k: int, *, exact: bool = False) -> tuple[Found, list[str]]:
        while True:
            now, index = self.snapshot(), self._index
            templates = self._templates.vectors()
            if exact or index is None:
                found = search_exact(queries, templates, top_k=top_k, alive=now.slots)
            else:
                newer = now.slots[self._templates.slots()["sequence"][now.slots] > index.sequence]
                found = search_approximate(index, queries, templates, top_k=top_k, alive=now.slots, newer=newer)
            if self._last_sequence() == now.sequence:
                places = np.where(found.rows < 0, -1, np.searchsorted(now.slots, found.rows))
                return Found(places, found.scores), now.names

    def build_index(self, config: IndexConfig) -> None:
        now = self.snapshot()
        self._index = build_index(config, self._templates.vectors(), alive=now.slots, sequence=now.sequence)
        if self._last_sequence() != now.sequence:
            self._index = None
            raise WorkError(f"{self.path}: the gallery changed while its index was built; build it again.")

    def snapshot(self) -> _Snapshot:
        """Return who is enrolled now; read anew only when something has changed."""
        with self._read_lock, in_words(self.path):
            if self._snapshot is None or self._snapshot.sequence != self._last_sequence():
                self._reader.execute("BEGIN")
                try:
                    sequence = self._last_sequence()
                    rows = self._rows("SELECT template, name FROM people ORDER BY template")
                finally:
                    self._reader.execute("COMMIT")
                slots = np.array([slot for slot, _ in rows], dtype=np.int64)
                self._snapshot = _Snapshot(sequence, slots, [name for _, name in rows])
            return self._snapshot

    @contextmanager
    def writing(self) -> Iterator[SQLiteWriter]:
        with self._write_lock, in_words(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            writer = SQLiteWriter(self._db, self._samples, self._templates)
            try:
                yield writer
                self._samples.sync()
                self._templates.sync()
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(OSError, WorkError):  # what stays behind nobody refers to, and the next opening erases it
                    self._take_back(writer)
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            self._erase(writer.freed_samples, writer.freed_templates)
            if writer.removed:
                self._finish_deletions()

    def entries(self) -> list[AuditEntry]:
        return [AuditEntry(*row) for row in self._rows("SELECT * FROM audit ORDER BY sequence")]

    def problems(self) -> list[str]:
        with self._read_lock, in_words(self.path):
            found = [f"{self.path}: {row[0]}." for row in self._rows("PRAGMA integrity_check") if row[0] != "ok"]
            owners = {
                slot: (person, name)
                for slot, person, name in self._rows(
                    "SELECT slot, person, name FROM samples JOIN people ON people.id = samples.person"
                )
            }
            templates = {
                slot: (person, name) for slot, person, name in self._rows("SELECT template, id, name FROM people")
            }
        for file, used in ((self._samples, owners), (self._templates, templates)):
            found += self._slot_problems(file, used)
        found += [f"{beside(self.path, 'damaged')}: left by a repair, may name people who were removed; delete it."] * (
            beside(self.path, "damaged").exists()
        )
        return found

    def close(self) -> None:
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._db.close()
            self._samples.close()
            self._templates.close()

    def _slot_problems(self, file: VectorFile, used: Mapping[int, tuple[str, str]]) -> list[str]:
        slots = np.array(sorted(used), dtype=np.int64)
        beyond = [f"{file.path}: slot {s} is missing; the file was cut short." for s in slots[slots >= file.num_slots]]
        slots = slots[slots < file.num_slots]
        damaged = file.damaged(slots).tolist()
        found = [
            f"{file.path}: the vector of {used[s][1]!r} in slot {s} is damaged; enrol the person anew." for s in damaged
        ]
        strangers = [s for s in slots.tolist() if s not in damaged and file.owner(s) != used[s]]
        found += [f"{file.path}: slot {s} is not that of {used[s][1]!r}, as the database says." for s in strangers]
        left = file.filled(unused(file, slots))
        return beyond + found + [f"{file.path}: slot {s} belongs to nobody, but is not erased." for s in left.tolist()]

    def _finish_what_was_begun(self) -> None:
        with self._write_lock, in_words(self.path):
            try:
                self._db.execute("PRAGMA busy_timeout = 0")
                self._db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return  # somebody is writing; what was left before waits for the next opening
            finally:
                self._db.execute(f"PRAGMA busy_timeout = {int(self._timeout_seconds * 1000)}")
            try:
                self._samples.drop_part()
                self._templates.drop_part()
                left = [
                    file.filled(unused(file, np.array([slot for (slot,) in self._rows(question)], dtype=np.int64)))
                    for file, question in (
                        (self._samples, "SELECT slot FROM samples"),
                        (self._templates, "SELECT template FROM people"),
                    )
                ]
                self._erase(left[0].tolist(), left[1].tolist())
            finally:
                self._db.execute("COMMIT")
            if self._rows("SELECT 1 FROM deletions WHERE NOT erased"):
                self._finish_deletions()

    def _erase(self, samples: list[int], templates: list[int]) -> None:
        try:
            self._samples.erase(samples)
            self._templates.erase(templates)
        except OSError as error:
            raise WorkError(
                f"{self.path}: the change is kept, but slots that it set free could not be overwritten by zeros "
                f"({error.strerror}); open the gallery again, which does it."
            ) from error

    def _take_back(self, writer: SQLiteWriter) -> None:
        """Erase what was written in vain, while nobody else may write."""
        for file, slots in ((self._samples, writer.written_samples), (self._templates, writer.written_templates)):
            file.drop_part()
            file.erase([slot for slot in slots if slot < file.num_slots])

    def _finish_deletions(self) -> None:
        """Leave no byte of removed people in the database and its log; their slots are zero already."""
        beside(self.path, "damaged").unlink(missing_ok=True)
        self._db.execute("VACUUM")
        busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise WorkError(
                f"{self.path}: the person is removed and the vectors are erased, but a reader kept the write-ahead log "
                "from being emptied, where the name may still be; open the gallery again later, which empties it."
            )
        self._db.execute("UPDATE deletions SET erased = 1 WHERE NOT erased")

    def _last_sequence(self) -> int:
        return int(self._rows("SELECT max(sequence) FROM audit")[0][0])

    def _rows(self, question: str, *values: object) -> list[tuple[Any, ...]]:
        with self._read_lock, in_words(self.path):
            return self._reader.execute(question, values).fetchall()


def _checked_settings(path: Path) -> GallerySettings:
    """Return the settings of a sound gallery; a foreign database is left as it is, not even its journal is changed."""
    with closing(sqlite3.connect(path)) as db:
        if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise InputError(f"{path}: this database is not a gallery.")
        verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        return GallerySettings.from_json(db.execute("SELECT settings FROM settings").fetchone()[0])


def beside(path: Path, ending: str) -> Path:
    """Return the path of another file of the same gallery."""
    return path.with_name(f"{path.name}.{ending}")


def sync_folder(path: Path) -> None:
    """Wait until the folder of `path` knows its files on the disk."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def unused(file: VectorFile, used: Rows) -> Rows:
    """Return the slots of a file that are not in `used`."""
    return np.setdiff1d(np.arange(file.num_slots), used, assume_unique=True)
