"""A small web server with the manners and the faults of real ones."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Served:
    """What one path serves, and how."""

    content: bytes
    knows_ranges: bool = True
    validator: bool = True
    sends_length: bool = True
    break_after: list[int] = field(default_factory=list)
    """For each of the next requests, after how many bytes of the body the connection is cut."""
    status: int = 200


@dataclass
class Server:
    """`server.files["/a.tgz"] = Served(...)`; `server.asked` lists (path, Range header) as they came."""

    address: str
    files: dict[str, Served] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def serve(self, path: str, content: bytes, **how: object) -> str:
        self.files[path] = Served(content, **how)  # type: ignore[arg-type]
        return self.address + path


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server: Server = self.server.state  # type: ignore[attr-defined]
        server.asked.append((self.path, self.headers.get("Range")))
        served = server.files.get(self.path)
        if served is None or served.status != 200:
            self.send_response(served.status if served else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        etag = f'"{hashlib.md5(served.content).hexdigest()}"'
        start = 0
        wanted = self.headers.get("Range")
        if wanted and served.knows_ranges and self.headers.get("If-Range", etag) == etag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(served.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(served.content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(served.content) - 1}/{len(served.content)}")
        else:
            self.send_response(200)
        body = served.content[start:]
        if served.validator:
            self.send_header("ETag", etag)
        if served.sends_length:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if served.break_after:
            body = body[: served.break_after.pop(0)]
            self.close_connection = True
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is what these tests are about."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    httpd = _QuietServer(("127.0.0.1", 0), _Handler)
    state = Server(address=f"http://127.0.0.1:{httpd.server_address[1]}")
    httpd.state = state  # type: ignore[attr-defined]
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield state
    httpd.shutdown()
    httpd.server_close()
    thread.join()
