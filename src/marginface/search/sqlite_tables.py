"""The tables of a gallery in SQLite, the settings that their safety rests on, and what SQLite says in words."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

from marginface.errors import WorkError
from marginface.search.audit_log import AuditEntry, next_entry
from marginface.search.settings import GallerySettings

APPLICATION_ID = 0x4D464731  # "MFG1", in SQLite's own header field for this

TABLES = """
CREATE TABLE settings (settings TEXT NOT NULL);
CREATE TABLE people (
  id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, template INTEGER NOT NULL UNIQUE, sequence INTEGER NOT NULL
);
CREATE TABLE samples (
  slot INTEGER PRIMARY KEY, person TEXT NOT NULL REFERENCES people (id) DEFERRABLE INITIALLY DEFERRED,
  position INTEGER NOT NULL, crop BLOB
);
CREATE INDEX samples_of_person ON samples (person, position);
CREATE TABLE audit (
  sequence INTEGER PRIMARY KEY, time TEXT NOT NULL, event TEXT NOT NULL, person TEXT NOT NULL, detail TEXT NOT NULL,
  previous TEXT NOT NULL, digest TEXT NOT NULL
);
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
CREATE TRIGGER audit_is_not_cut BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
CREATE TABLE deletions (sequence INTEGER PRIMARY KEY REFERENCES audit (sequence), erased INTEGER NOT NULL);
"""


def connect(path: Path, timeout_seconds: float) -> sqlite3.Connection:
    """Return a connection with the settings that safety rests on."""
    db = sqlite3.connect(path, timeout=timeout_seconds, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA secure_delete = ON")
    db.execute("PRAGMA temp_store = MEMORY")  # VACUUM would leave a copy among the system's temporary files
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA trusted_schema = OFF")
    return db


@contextmanager
def making_tables(path: Path, settings: GallerySettings) -> Iterator[sqlite3.Connection]:
    """Yield a new, empty database inside a transaction; afterwards it is one closed and synced file."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))  # SQLite gives its log the same rights
    db = connect(path, 5.0)
    try:
        db.execute("PRAGMA journal_mode = DELETE")  # one file to rename; opening it turns the log on
        db.executescript(f"PRAGMA application_id = {APPLICATION_ID}; {TABLES}")
        db.execute("BEGIN")
        db.execute("INSERT INTO settings VALUES (?)", (settings.to_json(),))
        yield db
        db.execute("COMMIT")
    finally:
        db.close()


def append_entry(db: sqlite3.Connection, event: str, person_id: str, detail: Mapping[str, Any]) -> int:
    """Append to the audit log; return the entry's number."""
    row = db.execute("SELECT * FROM audit ORDER BY sequence DESC LIMIT 1").fetchone()
    entry = next_entry(None if row is None else AuditEntry(*row), event, person_id, detail)
    db.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)", astuple(entry))
    return entry.sequence


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system raise about `path` into a WorkError that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise WorkError(_sentence(path, error)) from error
    except OSError as error:
        raise WorkError(
            f"{path}: {error.strerror}; nothing of this change was kept, what was there before is."
        ) from error


def _sentence(path: Path, error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"{path}: another process is writing to this gallery and did not finish in time; try again."
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return (
            f"{path}: the database is damaged ({str(error).splitlines()[0]}); `marginface gallery repair {path}` "
            "rebuilds it from the files beside it."
        )
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return f"{path}: {error}; nothing of this change was kept, what was there before is. Make room and try again."
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return f"{path}: the gallery's files and their folder must be writable ({error})."
    return f"{path}: SQLite says {error}."
