"""Both places where a gallery can be: a file, and a PostgreSQL server that is started here."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.postgres import WHAT_TO_INSTALL, postgres_programs, running_server


@pytest.fixture(scope="session")
def server() -> Iterator[tuple[str, Path]]:
    """The address of a server, and its data folder."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip(WHAT_TO_INSTALL)
    with running_server(programs) as running:
        yield running


_numbers = itertools.count()


@pytest.fixture(params=["file", "server"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Return a function that gives a new place for a gallery at each call."""
    if request.param == "file":
        return lambda: str(tmp_path / f"team{next(_numbers)}.db")
    address = request.getfixturevalue("server")[0]
    return lambda: f"{address}#team{next(_numbers)}"
