"""The addresses under /v1, the page, health and metrics."""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel

from marginface.serve import answers
from marginface.serve.access import Access
from marginface.serve.bodies import body_schema, form, photographs, photos_of, the_one
from marginface.serve.keys import Role
from marginface.serve.refusals import Refused
from marginface.serve.service import USUAL_QUALITY, One, Service

Which = Literal["all", "largest", "central"]
Rate = Annotated[float | None, Query(gt=0, lt=1)]
Cosine = Annotated[float | None, Query(ge=-1, le=1)]
PersonId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
Methods = Annotated[list[str], Query(max_length=16)]

_ONE_PHOTO_OR_MORE = body_schema("photo", raw=True)
_WHY = {
    400: "The form cannot be read.",
    401: "No key, or one that is not known.",
    403: "The key's role is not enough, or the request comes from another site.",
    413: "The request is too large.",
    415: "Another media type.",
    422: "A value or a photograph that cannot be used.",
    429: "Too many requests.",
    503: "Too much to do, or the gallery cannot be written just now.",
}
_FILES: dict[str, tuple[str, str]] = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}


def api(service: Service, access: Access, threads: ThreadPoolExecutor) -> APIRouter:
    """Return the routes that need a role; every answer is made in one of `threads`."""
    router = APIRouter(prefix="/v1")
    settings = service.settings

    async def told(work: Callable[[], BaseModel]) -> Response:
        text = await asyncio.get_running_loop().run_in_executor(threads, lambda: work().model_dump_json())
        return Response(text, media_type="application/json")

    @router.post("/detect", **_documented(access, "read", answers.Detected, body=_ONE_PHOTO_OR_MORE))
    async def detect(request: Request, which: Which = "all") -> Response:
        """Where the faces on photographs are."""
        files = await photographs(request, settings)
        return await told(lambda: service.detect(files, which=which))

    @router.post("/embed", **_documented(access, "read", answers.Embedded, body=_ONE_PHOTO_OR_MORE))
    async def embed(
        request: Request, which: Which = "all", aligned: bool = False, flip: Literal["none", "sum"] | None = None
    ) -> Response:
        """Embeddings of the faces on photographs; with `aligned`, of pictures that are aligned crops already."""
        files = await photographs(request, settings)
        return await told(lambda: service.embed(files, which=which, aligned=aligned, flip=flip))

    @router.post("/quality", **_documented(access, "read", answers.Scored, body=_ONE_PHOTO_OR_MORE))
    async def quality(request: Request, which: Which = "all", method: Methods = list(USUAL_QUALITY)) -> Response:  # noqa: B006
        """Quality scores of the faces on photographs, higher is better; `method` may be given several times."""
        files = await photographs(request, settings)
        return await told(lambda: service.quality(files, which=which, methods=method))

    @router.post("/search", **_documented(access, "read", answers.Found, body=_ONE_PHOTO_OR_MORE))
    async def search(
        request: Request,
        which: Which = "all",
        aligned: bool = False,
        top_k: Annotated[int, Query(ge=1, le=100)] = 1,
        fmr: Rate = None,
        fpir: Rate = None,
        threshold: Cosine = None,
    ) -> Response:
        """Who of the gallery is on photographs; give at most one of `fmr`, `fpir` and `threshold`."""
        files = await photographs(request, settings)
        return await told(
            lambda: service.search(
                files, which=which, aligned=aligned, top_k=top_k, fmr=fmr, fpir=fpir, threshold=threshold
            )
        )

    @router.post("/verify", **_documented(access, "read", answers.Verified, body=body_schema("first", "second")))
    async def verify(request: Request, which: One = "largest", fmr: Rate = None) -> Response:
        """Whether two photographs show one person."""
        sent = await form(request, settings)
        first, second = the_one(sent, "first"), the_one(sent, "second")
        return await told(lambda: service.verify(first, second, fmr=fmr, which=which))

    @router.post(
        "/enrol", **_documented(access, "enrol", answers.Enrolled, body=body_schema("photo", fields=("name",)))
    )
    async def enrol(
        request: Request, which: One = "largest", replace: bool = False, allow_duplicate: bool = False
    ) -> Response:
        """Add photographs of a person, new or known. The name is in the body, for addresses end up in logs."""
        sent = await form(request, settings)
        files = photos_of(sent)
        if "name" not in sent.fields:
            raise Refused(422, "the form has no field 'name'; say who it is.")
        return await told(
            lambda: service.enrol(
                sent.fields["name"], files, which=which, replace=replace, allow_duplicate=allow_duplicate
            )
        )

    @router.get("/people", **_documented(access, "enrol", answers.People))
    async def people(
        offset: Annotated[int, Query(ge=0, le=2**31)] = 0, limit: Annotated[int, Query(ge=1, le=1000)] = 100
    ) -> Response:
        """Who is enrolled, by name."""
        return await told(lambda: service.people(offset=offset, limit=limit))

    @router.delete(
        "/people/{person_id}", **_documented(access, "admin", answers.Removed, more={404: "Nobody has this id."})
    )
    async def remove(person_id: PersonId) -> Response:
        """Erase a person everywhere: name, vectors and crops."""
        return await told(lambda: service.remove(person_id))

    return router


def around(service: Service, access: Access) -> APIRouter:
    """Return the page, health and metrics."""
    router = APIRouter()

    @router.get("/health", response_model=answers.Health, responses=_problems(403))
    async def health() -> answers.Health:
        """Answers as long as the service serves; needs no key."""
        version = importlib.metadata.version("marginface")
        return answers.Health(status="ok", version=version, keys_needed=access.keys is not None)

    @router.get(
        "/metrics",
        response_class=Response,
        dependencies=[Depends(access.needs("read"))],
        responses={200: {"content": {"text/plain": {}}}, **_problems(401, 403, 429)},
    )
    async def metrics() -> Response:
        """Counts and times in Prometheus' text format."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    for address, (name, media_type) in _FILES.items():
        content = resources.files("marginface.serve").joinpath("page", name).read_bytes()
        router.add_api_route(address, _file(content, media_type), methods=["GET"], include_in_schema=False)
    return router


def _file(content: bytes, media_type: str) -> Callable[[], Any]:
    async def file() -> Response:
        return Response(content, media_type=media_type)

    return file


def _documented(
    access: Access,
    role: Role,
    answer: type[BaseModel],
    *,
    body: dict[str, Any] | None = None,
    more: dict[int, str] | None = None,
) -> dict[str, Any]:
    """Return what is the same for all routes: the role, the answer and the refusals."""
    has_body = {400, 413, 415} if body else set()
    statuses = sorted({401, 403, 422, 429, 503} | has_body)
    return {
        "response_model": answer,
        "dependencies": [Depends(access.needs(role))],
        "responses": _problems(*statuses) | _described(more or {}),
        "openapi_extra": body,
    }


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return _described({status: _WHY[status] for status in statuses})


def _described(why: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": answers.Problem, "description": text} for status, text in why.items()}
