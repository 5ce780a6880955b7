"""Starts and stops the service."""

from __future__ import annotations

import ipaddress
import logging
import math
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from marginface.errors import InputError, WorkError
from marginface.images.detect import Detector
from marginface.models import FaceModel
from marginface.search.gallery import Gallery
from marginface.serve.keys import KeyFile
from marginface.serve.service import Service
from marginface.serve.settings import ServeSettings

_SWITCH_SECONDS = 0.0005
"""The model's thread needs Python's lock between two operations of a backbone; by default it would wait 5 ms for it
whenever a request is being read."""

_BACKLOG = 2048
"""Connections that may wait to be taken."""


def serve(
    gallery: Gallery,
    model: FaceModel,
    detector: Detector,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    keys: Path | None = None,
    threads: int | None = None,
    settings: ServeSettings | None = None,
    started: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve until SIGTERM or SIGINT; then finish what was begun.

    Args:
        gallery: opened with `model`; closed by whoever opened it.
        model: the gallery's.
        detector: finds the faces.
        host: address to listen at; without keys one of the loopback.
        port: 0 takes any that is free.
        keys: file of keys; see `marginface keys create`.
        threads: of torch; as many as torch thinks best unless given.
        settings: limits.
        started: called with the address once requests are taken.

    Raises:
        InputError: the extra is not installed, another host than the loopback without keys, an address that is taken.
    """
    check_host(host, has_keys=keys is not None)
    known = KeyFile(keys) if keys is not None else None
    listening = listen(host, port)
    if threads is not None:
        torch.set_num_threads(threads)
    sys.setswitchinterval(_SWITCH_SECONDS)
    service = Service(gallery, model, detector, settings)
    server = server_for(service, keys=known)
    with listening:
        name = f"[{host}]" if ":" in host else host
        listening.listen(_BACKLOG)  # from now on callers wait in line and are not refused
        started(f"http://{name}:{listening.getsockname()[1]}")
        _run(server.run, listening)


def server_for(service: Service, *, keys: KeyFile | None = None) -> Any:
    """Return a uvicorn server of a service, which logs nothing of its own but trouble.

    Raises:
        InputError: the extra is not installed.
    """
    try:
        import python_multipart  # noqa: F401 - forms need it, and Starlette would say so at the first one only
        import uvicorn

        from marginface.serve.app import build_app
    except ImportError as error:
        raise InputError(f"a service needs {error.name}: pip install 'marginface[serve]'.") from error
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # its lines have addresses, of people and of the service
    config = uvicorn.Config(
        build_app(service, keys=keys),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=math.ceil(service.settings.stop_seconds),
    )
    return uvicorn.Server(config)


def check_host(host: str, *, has_keys: bool) -> None:
    """Refuse to let anybody in from another machine without keys.

    Raises:
        InputError: an address beyond the loopback without keys, or none at all.
    """
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as error:
        raise InputError(f"{host}: this is no address of this machine ({error}).") from error
    if not has_keys and not all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in found):
        raise InputError(
            f"{host}: without keys the service listens on this machine only (127.0.0.1); make keys with"
            " `marginface keys create FILE --role admin` and give them with --keys FILE."
        )


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address, so that one that is taken is told before anything is loaded.

    Raises:
        InputError: no such port, or it is taken.
    """
    if not 0 <= port <= 65535:
        raise InputError(f"port {port} does not exist; take one from 1 to 65535.")
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        listening.close()
        raise InputError(f"{host}:{port}: cannot listen there ({error.strerror}); choose another --port.") from error
    return listening


def _run(run: Callable[..., None], listening: socket.socket) -> None:
    """Run the server; when it has stopped it raises the signal again that stopped it, which is no failure here."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        run(sockets=[listening])
    except KeyboardInterrupt:
        pass
    except SystemExit as error:
        raise WorkError("the service could not start; the lines above say why.") from error
    finally:
        signal.signal(signal.SIGTERM, before)
