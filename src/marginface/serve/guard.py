"""The outermost layer: where a request comes from, its size and time; what is logged and counted."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
import traceback
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marginface.serve.log import RequestLog
from marginface.serve.metrics import SECONDS, Metrics
from marginface.serve.refusals import Refused, busy
from marginface.serve.settings import ServeSettings

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


@dataclass
class _Exchange:
    """One request and its answer."""

    request_id: str
    started: float
    bytes_in: int = 0
    status: int = 0


class Guard:
    """Wraps the application."""

    def __init__(
        self, app: ASGIApp, *, settings: ServeSettings, metrics: Metrics, log: RequestLog, loopback_only: bool
    ) -> None:
        """Guard `app`.

        Args:
            app: what answers.
            settings: the limits.
            metrics: counts and times go there.
            log: a line goes there for each request.
            loopback_only: no keys are asked for, so requests that another site makes a browser send are refused.
        """
        self._app, self._settings, self._metrics, self._log = app, settings, metrics, log
        self._loopback_only = loopback_only
        self._bytes_in_flight = 0
        self._num_requests = 0
        metrics.gauge("marginface_requests_in_flight", lambda: self._num_requests)
        metrics.gauge("marginface_request_bytes_in_flight", lambda: self._bytes_in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        exchange = _Exchange(secrets.token_hex(8), time.perf_counter())
        reply = self._watched(send, exchange)
        scope.setdefault("state", {})
        self._num_requests += 1
        try:
            self._admit(scope)
            async with asyncio.timeout(self._settings.timeout_seconds):
                await self._app(scope, self._limited(receive, exchange), reply)
        except Refused as refused:
            await _refuse(reply, exchange, refused)
        except TimeoutError:
            await _refuse(reply, exchange, busy(f"this took longer than {self._settings.timeout_seconds:g} s"))
        except Exception as error:
            self._tell(error, exchange)
            sentence = f"this failed through no fault of yours; the service's log tells more of {exchange.request_id}."
            await _refuse(reply, exchange, Refused(500, sentence))
        finally:
            self._num_requests -= 1
            self._bytes_in_flight -= exchange.bytes_in
            self._finish(scope, exchange)

    def _admit(self, scope: Scope) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if self._loopback_only:
            _check_origin(headers)
        length = headers.get(b"content-length", "0")
        if not (length.isascii() and length.isdigit()):
            raise Refused(400, "the Content-Length is no number.")
        self._check_size(int(length))
        if self._num_requests > self._settings.max_requests:
            raise busy("too many requests are being served")

    def _limited(self, receive: Receive, exchange: _Exchange) -> Receive:
        async def limited() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                num_bytes = len(message.get("body", b""))
                exchange.bytes_in += num_bytes
                self._bytes_in_flight += num_bytes
                self._check_size(exchange.bytes_in)
                if self._bytes_in_flight > self._settings.max_bytes_in_flight:
                    raise busy("too much is being sent")
            return message

        return limited

    def _check_size(self, num_bytes: int) -> None:
        if num_bytes > self._settings.max_request_bytes:
            most = self._settings.max_request_bytes / 1e6
            sentence = f"a request may have {most:,.0f} MB; send fewer or smaller photographs."
            raise Refused(413, sentence, headers={"Connection": "close"})  # the rest of the body is not read

    def _watched(self, send: Send, exchange: _Exchange) -> Send:
        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                given = dict(message.get("headers", []))
                extra = {**_HEADERS, "x-request-id": exchange.request_id}
                missing = [(k.encode(), v.encode()) for k, v in extra.items() if k.encode() not in given]
                message = {**message, "headers": [*message.get("headers", []), *missing]}
            await send(message)

        return watched

    def _tell(self, error: Exception, exchange: _Exchange) -> None:
        """Log where something broke; not the message, which may hold what somebody sent."""
        frames = [f"{frame.name} {frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in _frames(error)]
        self._log.write(
            "failed",
            level=logging.ERROR,
            request=exchange.request_id,
            error=type(error).__name__,
            at=" < ".join(reversed(frames[-6:])),
        )

    def _finish(self, scope: Scope, exchange: _Exchange) -> None:
        seconds = time.perf_counter() - exchange.started
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in _METHODS else "other"  # anybody may make one up
        self._metrics.count(
            "marginface_requests_total", route=route, method=method, status=str(exchange.status or "closed")
        )
        self._metrics.observe("marginface_request_seconds", seconds, SECONDS, route=route)
        self._log.write(
            "request",
            request=exchange.request_id,
            caller=scope["state"].get("caller"),
            method=method,
            route=route,
            status=exchange.status,
            milliseconds=round(1e3 * seconds, 1),
            bytes_in=exchange.bytes_in,
        )


def _check_origin(headers: dict[bytes, str]) -> None:
    """Refuse what another site makes a browser send: without keys, being on this machine is all that protects.

    A name other than the loopback's means that somebody's DNS points here; a foreign Origin, a page that posts here.
    """
    try:
        host = urlsplit(f"//{headers.get(b'host', '')}")
        origin = urlsplit(headers.get(b"origin", f"//{host.netloc}"))
        name = host.hostname
    except ValueError:
        name = None
    if name not in LOOPBACK_NAMES:
        raise Refused(403, "without keys this service answers to the names localhost and 127.0.0.1 only.")
    if origin.netloc != host.netloc:
        raise Refused(403, "without keys this service does not answer to pages of other sites.")
    if headers.get(b"sec-fetch-site", "none") not in ("none", "same-origin"):
        raise Refused(403, "without keys this service does not answer to pages of other sites.")


async def _refuse(send: Send, exchange: _Exchange, refused: Refused) -> None:
    if exchange.status:  # the answer has begun; the server cuts the connection
        return
    body = json.dumps({"detail": refused.sentence}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **refused.headers}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def _frames(error: Exception) -> list[traceback.FrameSummary]:
    return list(traceback.extract_tb(error.__traceback__))
