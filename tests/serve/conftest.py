"""A running service for each test that asks for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serve.made_up import new_service, running

Start = Callable[..., httpx.Client]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a service and gives a client of it; the service is its attribute."""
    with ExitStack() as stack:

        def started(*, keys: Path | None = None, **changes: Any) -> httpx.Client:
            service = new_service(tmp_path, **changes)
            address = stack.enter_context(running(service, keys=keys))
            client = stack.enter_context(httpx.Client(base_url=address, timeout=20))
            client.service = service  # type: ignore[attr-defined]
            return client

        yield started


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One service for the tests of a file that leave nobody in it, with small limits on what is sent."""
    folder = tmp_path_factory.mktemp("shared")
    service = new_service(folder, max_request_bytes=2_000_000, requests_per_second=0)
    with running(service) as address, httpx.Client(base_url=address, timeout=20) as client:
        yield client
