"""The application: routes behind checks, every failure a sentence."""

from __future__ import annotations

import importlib.metadata
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from marginface.errors import InputError, WorkError
from marginface.serve.access import Access
from marginface.serve.guard import Guard
from marginface.serve.keys import KeyFile
from marginface.serve.log import RequestLog
from marginface.serve.rate_limit import RateLimit
from marginface.serve.refusals import Refused, busy
from marginface.serve.routes import api, around
from marginface.serve.service import Service


def build_app(service: Service, *, keys: KeyFile | None = None) -> ASGIApp:
    """Return the ASGI application; it closes `service` when the server stops.

    Args:
        service: answers.
        keys: who may ask; without it everybody whose request comes from this machine.
    """
    settings, log = service.settings, RequestLog()
    access = Access(keys, RateLimit(settings.requests_per_second, settings.burst), log)
    threads = ThreadPoolExecutor(settings.max_requests, thread_name_prefix="request")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        threads.shutdown(cancel_futures=True)
        service.close()

    app = FastAPI(
        title="MarginFace",
        version=importlib.metadata.version("marginface"),
        description="Faces on photographs: where, how good, who, and whether two are one person.",
        docs_url=None,  # these pages load scripts of other sites
        redoc_url=None,
        lifespan=lifespan,
    )
    app.include_router(api(service, access, threads))
    app.include_router(around(service, access))
    for kind, tell in _TOLD.items():
        app.add_exception_handler(kind, _handler(tell, log))
    return Guard(app, settings=settings, metrics=service.metrics, log=log, loopback_only=keys is None)


def _of_http(error: Any) -> Refused:
    return Refused(error.status_code, f"{str(error.detail).rstrip('.')}.", headers=error.headers)


def _of_values(error: Any) -> Refused:
    first = error.errors()[0]
    where = " ".join(str(part) for part in first["loc"])
    return Refused(422, f"{where}: {str(first['msg'])[0].lower()}{str(first['msg'])[1:]}.")


_TOLD: dict[type[Exception], Any] = {
    Refused: lambda error: error,
    InputError: lambda error: Refused(422, str(error)),
    WorkError: lambda error: busy("the gallery could not do this just now"),
    RequestValidationError: _of_values,
    HTTPException: _of_http,
}
"""What each kind of failure is answered with."""


def _handler(tell: Any, log: RequestLog) -> Any:
    async def answer(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, WorkError):
            log.write("gallery", problem=str(error))
        refused = tell(error)
        return JSONResponse({"detail": refused.sentence}, refused.status, headers=refused.headers)

    return answer
