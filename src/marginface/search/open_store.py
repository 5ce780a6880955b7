"""Where galleries are kept, told by the location: a path is a file, `postgresql://...` is a server."""

from __future__ import annotations

from pathlib import Path

from marginface.search.settings import GallerySettings
from marginface.search.store import Store
from marginface.search.store_sqlite import SQLiteStore


def is_server(location: str | Path) -> bool:
    """Return whether `location` is the address of a PostgreSQL server."""
    return str(location).startswith(("postgresql://", "postgres://"))


def exists(location: str | Path) -> bool:
    """Return whether there is a gallery."""
    if is_server(location):
        from marginface.search.postgres import PostgresStore

        return PostgresStore.exists(str(location))
    return Path(location).exists()


def open_store(location: str | Path, *, timeout_seconds: float) -> Store:
    """Open a gallery's store.

    Raises:
        InputError: there is none.
    """
    if is_server(location):
        from marginface.search.postgres import PostgresStore

        return PostgresStore(str(location), timeout_seconds=timeout_seconds)
    return SQLiteStore(Path(location), timeout_seconds=timeout_seconds)


def create_store(location: str | Path, settings: GallerySettings, *, timeout_seconds: float) -> Store:
    """Make an empty gallery's store.

    Raises:
        InputError: something is there already.
    """
    if is_server(location):
        from marginface.search.postgres import PostgresStore

        return PostgresStore.create(str(location), settings, timeout_seconds=timeout_seconds)
    return SQLiteStore.create(Path(location), settings, timeout_seconds=timeout_seconds)
