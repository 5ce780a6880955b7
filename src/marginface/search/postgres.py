"""A gallery on a PostgreSQL server with the extension pgvector, for galleries that outgrow one machine.

The location is `postgresql://user@host/database#name`; `name` (marginface unless given) is the schema with the tables,
so that a database holds many galleries. Scores are computed by the server in float32, the best are ranked here in
float64, as everywhere.

Erasing somebody rewrites the tables (VACUUM FULL). The server's write-ahead log, its backups and its replicas keep old
pages for as long as its administrator says.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from typing import Any

import numpy as np

from marginface.errors import InputError, WorkError
from marginface.search.approximate import HnswConfig, IndexConfig, IvfConfig
from marginface.search.audit_log import AuditEntry, next_entry
from marginface.search.exact import Found, rank
from marginface.search.settings import GallerySettings, Person, Samples, Vectors

_NEARBY = 16
"""So many more than asked for come from the server, for its float32 order may differ in the last digits."""
_TABLES = """
CREATE TABLE settings (settings text NOT NULL);
CREATE TABLE people (
  id text PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE, template vector({dim}) NOT NULL, sequence bigint NOT NULL
);
CREATE TABLE samples (
  person text NOT NULL REFERENCES people (id) ON DELETE CASCADE, position integer NOT NULL,
  embedding vector({dim}) NOT NULL, quality real NOT NULL, norm real NOT NULL, crop bytea,
  PRIMARY KEY (person, position)
);
CREATE TABLE audit (
  sequence bigint PRIMARY KEY, time text NOT NULL, event text NOT NULL, person text NOT NULL, detail text NOT NULL,
  previous text NOT NULL, digest text NOT NULL
);
CREATE FUNCTION only_grows() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION 'the audit log only grows'; END $$;
CREATE TRIGGER audit_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit EXECUTE FUNCTION only_grows();
"""
_PEOPLE = "SELECT id, name, (SELECT count(*) FROM samples WHERE person = people.id), sequence FROM people"


class PostgresStore:
    """See the top of the file. Threads may share it."""

    def __init__(self, location: str, *, timeout_seconds: float) -> None:
        """Connect to a gallery.

        Raises:
            InputError: psycopg is not installed, or there is no gallery.
            WorkError: the server does not answer.
        """
        self._address, self._schema = _parts(location)
        self._timeout_seconds = timeout_seconds
        self._write_lock, self._read_lock = threading.Lock(), threading.Lock()
        self._index: IndexConfig | None = None
        with _in_words(self.location):
            self._db = _connect(self._address, self._schema, timeout_seconds)
            if not _has_gallery(self._db, self._schema):
                self._db.close()
                raise InputError(
                    f"{self.location}: there is no gallery here; make one with `marginface gallery create`."
                )
            self._reader = _connect(self._address, self._schema, timeout_seconds)
            self._settings = GallerySettings.from_json(self._rows("SELECT settings FROM settings")[0][0])

    @classmethod
    def exists(cls, location: str) -> bool:
        """Return whether there is a gallery."""
        address, schema = _parts(location)
        with _in_words(_shown(address, schema)), _connect(address, schema, 5.0) as db:
            return _has_gallery(db, schema)

    @classmethod
    def create(cls, location: str, settings: GallerySettings, *, timeout_seconds: float) -> PostgresStore:
        """Make the schema with empty tables."""
        address, schema = _parts(location)
        shown = _shown(address, schema)
        with _in_words(shown), _connect(address, schema, timeout_seconds) as db:
            if _has_gallery(db, schema):
                raise InputError(f"{shown}: there is a gallery already; choose another name after the #.")
            if db.info.parameter_status("server_encoding") != "UTF8":
                raise InputError(f"{shown}: the database must be encoded in UTF8 to hold every name.")
            with db.transaction():
                db.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
                db.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
                db.execute(_TABLES.replace("{dim}", str(int(settings.embedding_dim))))
                db.execute("INSERT INTO settings VALUES (%s)", (settings.to_json(),))
                _append(db, "create", "", {"model": settings.model, "fingerprint": settings.fingerprint})
        return cls(location, timeout_seconds=timeout_seconds)

    @property
    def location(self) -> str:
        return _shown(self._address, self._schema)

    @property
    def settings(self) -> GallerySettings:
        return self._settings

    def num_people(self) -> int:
        return int(self._rows("SELECT count(*) FROM people")[0][0])

    def people(self) -> list[Person]:
        return [Person(*row) for row in self._rows(f"{_PEOPLE} ORDER BY name")]

    def samples(self, person_id: str) -> Samples:
        rows = self._rows(
            "SELECT embedding, quality, norm, crop FROM samples WHERE person = %s ORDER BY position", person_id
        )
        vectors, qualities, norms, crops = zip(*rows, strict=True)
        return Samples(_array(vectors), _array(qualities), _array(norms), tuple(crops))

    def template(self, person_id: str) -> Vectors:
        vector: Vectors = _array(self._rows("SELECT template FROM people WHERE id = %s", person_id)[0])[0]
        return vector

    def search(self, queries: Vectors, top_k: int, *, exact: bool = False) -> tuple[Found, list[str]]:
        names: list[str] = []
        vectors: list[Any] = []
        which: list[int] = []
        with self._read_lock, _in_words(self.location), self._reader.transaction():
            for command in _search_settings(None if exact else self._index):
                self._reader.execute(command)
            for i, query in enumerate(queries):
                rows = self._reader.execute(
                    "SELECT name, template FROM people ORDER BY template <#> %s LIMIT %s", (query, top_k + _NEARBY)
                ).fetchall()
                names += [name for name, _ in rows]
                vectors += [vector for _, vector in rows]
                which += [i] * len(rows)
        if not names:
            return Found(np.zeros((len(queries), 0), np.int64), np.zeros((len(queries), 0))), names
        rows_of = np.arange(len(names))
        least = int(np.bincount(which, minlength=len(queries)).min()) if exact or self._index is None else top_k
        return rank(queries, _array(vectors), np.asarray(which), rows_of, top_k=min(top_k, least)), names

    def build_index(self, config: IndexConfig) -> None:
        if self.settings.embedding_dim > 2000:
            raise InputError(f"pgvector indexes at most 2,000 values, not {self.settings.embedding_dim}.")
        name, method = _index_name(config), _method(config, self.num_people())
        with self._write_lock, _in_words(self.location), self._db.transaction():
            there = self._db.execute(
                "SELECT indexname FROM pg_indexes WHERE schemaname = %s AND indexname LIKE 'people\\_by\\_%%'",
                (self._schema,),
            ).fetchall()
            for (old,) in there:
                if old != name:
                    self._db.execute(f'DROP INDEX "{old}"')
            self._db.execute(f'CREATE INDEX IF NOT EXISTS "{name}" ON people USING {method}')
        self._index = config

    @contextmanager
    def writing(self) -> Iterator[_PostgresWriter]:
        with self._write_lock, _in_words(self.location):
            with self._db.transaction():
                self._db.execute(
                    "SELECT set_config('lock_timeout', %s, true)", (f"{int(self._timeout_seconds * 1000)}ms",)
                )
                self._db.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (self._schema,))
                writer = _PostgresWriter(self._db)
                yield writer
            if writer.erased:
                self._db.execute("VACUUM (FULL) people")
                self._db.execute("VACUUM (FULL) samples")

    def entries(self) -> list[AuditEntry]:
        return [AuditEntry(*row) for row in self._rows("SELECT * FROM audit ORDER BY sequence")]

    def problems(self) -> list[str]:
        odd = self._rows("SELECT name FROM people WHERE NOT abs((template <#> template) + 1) < 1e-3 ORDER BY name")
        empty = self._rows("SELECT name FROM people WHERE id NOT IN (SELECT person FROM samples) ORDER BY name")
        return [f"the template of {name!r} is not of length 1; enrol the person anew." for (name,) in odd] + [
            f"{name!r} has no images; enrol the person anew." for (name,) in empty
        ]

    def close(self) -> None:
        self._reader.close()
        self._db.close()

    def _rows(self, question: str, *values: object) -> list[tuple[Any, ...]]:
        with self._read_lock, _in_words(self.location):
            rows: list[tuple[Any, ...]] = self._reader.execute(question, values).fetchall()
            return rows


class _PostgresWriter:
    """One transaction; an advisory lock has made it the only one of this gallery."""

    def __init__(self, db: Any) -> None:
        self._db = db
        self.erased = False

    def find(self, name: str) -> Person | None:
        row = self._db.execute(f"{_PEOPLE} WHERE name = %s", (name,)).fetchone()
        return None if row is None else Person(*row)

    def log(self, event: str, person_id: str, detail: Mapping[str, Any]) -> int:
        return _append(self._db, event, person_id, detail)

    def put(self, person: Person, samples: Samples, template: Vectors, *, replace: bool) -> None:
        if replace:
            self._db.execute("DELETE FROM samples WHERE person = %s", (person.person_id,))
            self.erased = True
        self._db.execute(
            "INSERT INTO people VALUES (%s, %s, %s, %s) ON CONFLICT (id) DO UPDATE SET template = excluded.template, "
            "sequence = excluded.sequence",
            (person.person_id, person.name, template, person.sequence),
        )
        count = "SELECT count(*) FROM samples WHERE person = %s"
        first = self._db.execute(count, (person.person_id,)).fetchone()[0]
        rows = zip(samples.unit, samples.qualities.tolist(), samples.norms.tolist(), samples.crops, strict=True)
        with self._db.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO samples VALUES (%s, %s, %s, %s, %s, %s)",
                [(person.person_id, first + i, *row) for i, row in enumerate(rows)],
            )

    def remove(self, person_id: str, sequence: int) -> None:
        self._db.execute("DELETE FROM people WHERE id = %s", (person_id,))
        self.erased = True


def _append(db: Any, event: str, person_id: str, detail: Mapping[str, Any]) -> int:
    row = db.execute("SELECT * FROM audit ORDER BY sequence DESC LIMIT 1").fetchone()
    entry = next_entry(None if row is None else AuditEntry(*row), event, person_id, detail)
    db.execute("INSERT INTO audit VALUES (%s, %s, %s, %s, %s, %s, %s)", astuple(entry))
    return entry.sequence


def _index_name(config: IndexConfig) -> str:
    """Return a name that tells what the index was built with, so that it is built once."""
    if isinstance(config, HnswConfig):
        return f"people_by_hnsw_{int(config.num_links)}_{int(config.build_effort)}"
    return f"people_by_ivf_{int(config.num_cells)}"


def _method(config: IndexConfig, num_people: int) -> str:
    if isinstance(config, HnswConfig):
        links, effort = int(config.num_links), int(config.build_effort)
        return f"hnsw (template vector_ip_ops) WITH (m = {links}, ef_construction = {effort})"
    cells = int(config.num_cells) or max(round(4 * num_people**0.5), 1)
    return f"ivfflat (template vector_ip_ops) WITH (lists = {min(cells, 32768)})"


def _search_settings(index: IndexConfig | None) -> list[str]:
    if isinstance(index, HnswConfig):
        return [f"SET LOCAL hnsw.ef_search = {int(index.search_effort)}", "SET LOCAL enable_seqscan = off"]
    if isinstance(index, IvfConfig):
        return [f"SET LOCAL ivfflat.probes = {int(index.num_probed)}", "SET LOCAL enable_seqscan = off"]
    return ["SET LOCAL enable_indexscan = off"]


def _array(vectors: Sequence[Any]) -> Vectors:
    """Return vectors (n, D) as they come from the server: arrays, or in newer releases of pgvector objects."""
    rows = [v.to_numpy() if hasattr(v, "to_numpy") else v for v in vectors]
    made: Vectors = np.array(rows, dtype=np.float32)
    return made


def _parts(location: str) -> tuple[str, str]:
    address, _, schema = location.partition("#")
    schema = schema or "marginface"
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", schema):
        raise InputError(f"a gallery on a server is called by small letters, digits and _ after the #, not {schema!r}.")
    return address, schema


def _shown(address: str, schema: str) -> str:
    """Return the location without a password."""
    return re.sub(r"(://[^:@/]*):[^@/]*@", r"\1:***@", address) + f"#{schema}"


def _has_gallery(db: Any, schema: str) -> bool:
    return db.execute("SELECT to_regclass(%s)", (f"{schema}.settings",)).fetchone()[0] is not None


def _connect(address: str, schema: str, timeout_seconds: float) -> Any:
    try:
        import psycopg
        from pgvector.psycopg import register_vector
    except ImportError as error:
        raise InputError("a gallery on a server needs psycopg: pip install 'marginface[postgres]'.") from error
    db = psycopg.connect(address, autocommit=True, connect_timeout=max(int(timeout_seconds), 2))
    db.execute("SELECT set_config('search_path', %s, false)", (f"{schema}, public",))
    if db.execute("SELECT count(*) FROM pg_type WHERE typname = 'vector'").fetchone()[0]:
        register_vector(db)
    return db


@contextmanager
def _in_words(location: str) -> Iterator[None]:
    """Turn what the server says into a WorkError."""
    try:
        import psycopg
    except ImportError:
        yield  # `_connect` names the extra
        return
    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        raise WorkError(
            f"{location}: another process is writing to this gallery and did not finish in time; try again."
        ) from error
    except psycopg.errors.UndefinedFile as error:
        raise WorkError(f"{location}: the server lacks the extension pgvector ({_first_line(error)}).") from error
    except psycopg.Error as error:
        raise WorkError(f"{location}: the server says {_first_line(error)}.") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
