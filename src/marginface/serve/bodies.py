"""The body of a request to the photographs in it. Nothing touches the disk."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from marginface.serve.refusals import Refused
from marginface.serve.settings import ServeSettings

MAX_FIELDS = 8
MAX_FIELD_BYTES = 4096
_PHOTOGRAPH = {"type": "string", "format": "binary"}


@dataclass(frozen=True)
class Form:
    """What came in a multipart form."""

    files: dict[str, list[bytes]] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)


class _InMemory(MultiPartParser):
    """Photographs of people are never spooled to a temporary file; the guard bounds the body."""

    spool_max_size = 1 << 40
    max_file_size = 1 << 40  # what Starlette before 0.40 calls it


async def photographs(request: Request, settings: ServeSettings) -> list[bytes]:
    """Return the photographs of a request: the whole body is one, or the parts `photo` of a form are.

    Raises:
        Refused: another media type, a damaged form, none or too many photographs.
    """
    kind = _media_type(request)
    if kind == "application/octet-stream" or kind.startswith("image/"):
        body = await request.body()
        if not body:
            raise Refused(422, "the body is empty; send a photograph.")
        return [body]
    return photos_of(await form(request, settings))


async def form(request: Request, settings: ServeSettings) -> Form:
    """Return a multipart form.

    Raises:
        Refused: another media type, a damaged form, too many parts.
    """
    if _media_type(request) != "multipart/form-data":
        raise Refused(
            415, "send photographs as multipart/form-data, or one as application/octet-stream (see /openapi.json)."
        )
    parser = _InMemory(
        request.headers,
        _stream(request),
        max_files=settings.max_photographs,
        max_fields=MAX_FIELDS,
        max_part_size=MAX_FIELD_BYTES,
    )
    try:
        parsed = await parser.parse()
    except MultiPartException as error:
        raise Refused(400, f"the form cannot be read: {error.message}") from error
    except (ValueError, KeyError, LookupError) as error:  # a charset or boundary that makes no sense
        raise Refused(400, "the form cannot be read; is its boundary the one of the Content-Type?") from error
    read = Form()
    for name, value in parsed.multi_items():
        if isinstance(value, UploadFile):
            read.files.setdefault(name, []).append(await value.read())
        else:
            read.fields[name] = value
    return read


def the_one(form: Form, name: str) -> bytes:
    """Return the only file of that name.

    Raises:
        Refused: none, or several.
    """
    files = form.files.get(name, [])
    if len(files) != 1:
        raise Refused(422, f"the form has {len(files)} files named {name!r}; one is wanted.")
    return files[0]


def photos_of(form: Form) -> list[bytes]:
    """Return the files named `photo`.

    Raises:
        Refused: there are none.
    """
    files = form.files.get("photo", [])
    if not files:
        raise Refused(422, "the form has no file named 'photo'; send one or more.")
    return files


def body_schema(*files: str, fields: tuple[str, ...] = (), raw: bool = False) -> dict[str, Any]:
    """Return what the OpenAPI document says of a body.

    Args:
        files: names of the form's files; "photo" may come several times.
        fields: names of the form's texts.
        raw: whether a body may be a photograph itself.
    """
    one_or_many = {"type": "array", "items": _PHOTOGRAPH, "minItems": 1}
    properties: dict[str, Any] = {name: one_or_many if name == "photo" else _PHOTOGRAPH for name in files}
    properties |= {name: {"type": "string", "minLength": 1, "maxLength": 255} for name in fields}
    schema = {"type": "object", "properties": properties, "required": [*files, *fields]}
    content: dict[str, Any] = {"multipart/form-data": {"schema": schema}}
    if raw:
        content["application/octet-stream"] = {"schema": _PHOTOGRAPH}
    return {"requestBody": {"required": True, "content": content}}


async def _stream(request: Request) -> AsyncGenerator[bytes, None]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect as error:
        raise Refused(400, "the connection ended before the body did.") from error


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
