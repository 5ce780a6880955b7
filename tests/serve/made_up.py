"""A service over painted people: photographs with framed faces, a detector of frames, a model that knows colours."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from marginface.search.gallery import Gallery
from marginface.serve.keys import KeyFile
from marginface.serve.run import listen, server_for
from marginface.serve.service import Service
from marginface.serve.settings import ServeSettings
from tests.helpers.photographs import FramedFaces, Place, colours, photograph, threshold


def png(*people: Place, view: int = 0) -> bytes:
    """Return a photograph as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(photograph(people, view=view)).save(buffer, "PNG")
    return buffer.getvalue()


ADA, ADA_AGAIN = png((0, 10, 10, 112)), png((0, 60, 40, 90), view=1)
BOB, STRANGER, NOBODY = png((1, 10, 10, 112)), png((5, 10, 10, 112)), png()
GROUP = png((0, 10, 10, 112), (1, 150, 20, 90))


def new_service(
    folder: Path, *, calibrated: bool = True, detector: Any = None, made: dict[str, Any] | None = None, **changes: Any
) -> Service:
    """Return a service over a new, empty gallery, made with `made`; `changes` are of its settings."""
    model = colours(*([threshold(fmr=1e-4), threshold(0.45, fmr=1e-3)] if calibrated else []))
    gallery = Gallery.create(folder / "team.db", model, flip="none", **(made or {}))
    return Service(gallery, model, detector or FramedFaces(), ServeSettings(**changes))


@contextmanager
def running(service: Service, *, keys: Path | None = None) -> Iterator[str]:
    """Run a service on the loopback, as `run.serve` does but for signals; yield its address."""
    server = server_for(service, keys=KeyFile(keys) if keys else None)
    with listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.002)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)
    assert not thread.is_alive()
    service.gallery.close()


def files(*photos: bytes) -> list[tuple[str, tuple[str, bytes, str]]]:
    """Return photographs as parts of a form."""
    return [("photo", ("p.jpg", photo, "image/jpeg")) for photo in photos]


def enrol(client: httpx.Client, name: str, *photos: bytes, **how: Any) -> httpx.Response:
    return client.post("/v1/enrol", data={"name": name}, files=files(*photos), **how)


def found(client: httpx.Client, photo: bytes, **how: Any) -> list[Any]:
    """Return the answers and names of the faces on a photograph."""
    told = client.post("/v1/search", files=files(photo), params=how)
    assert told.status_code == 200, told.text
    return [(face["answer"], face["name"]) for face in told.json()["faces"]]
