"""`marginface serve TEAM.db`: detect, embed, verify, enrol and search over HTTP, with a page for people."""

from __future__ import annotations

from pathlib import Path

from marginface.cli.arguments import parse
from marginface.cli.gallery_faces import GalleryArgument, open_with_model
from marginface.cli.progress import progress_bars


def serve(
    gallery: GalleryArgument,
    host: str = "127.0.0.1",
    port: int = 8000,
    keys: Path | None = None,
    model: Path | None = None,
    detector: Path | None = None,
    fmr: float = 1e-4,
    threshold: float | None = None,
    rate: float = 50.0,
    max_megabytes: int = 32,
    max_batch: int = 32,
    max_wait_ms: float = 2.0,
    timeout: float = 30.0,
    workers: int | None = None,
    threads: int | None = None,
) -> None:
    """Serve a gallery until SIGTERM or Ctrl-C. Open the address in a browser, or see /openapi.json.

    Args:
        gallery: As it was created.
        host: Address to listen at. Without --keys only those of this machine are possible.
        port: 0 takes any that is free.
        keys: File of keys, as `marginface keys create` makes it; then every request needs one.
        model: The gallery's model; where it was when the gallery was made unless given.
        detector: A detector's file; YuNet, which is downloaded on first use, unless given.
        fmr: False match rate of one comparison where a request names none.
        threshold: A cosine instead, for models whose card has no thresholds.
        rate: Requests a second that one key, or without keys one address, may make; 0 sets no limit.
        max_megabytes: Of a request.
        max_batch: Faces that go through the model together.
        max_wait_ms: How long a face waits for others while the model has nothing to do, milliseconds.
        timeout: Of a request, seconds.
        workers: Photographs that are decoded and looked at in the same moment; one a core unless given.
        threads: Of torch; as many as torch thinks best unless given.
    """
    import os
    import sys

    from marginface.recognition import open_detector
    from marginface.serve.run import check_host
    from marginface.serve.run import serve as serve_gallery
    from marginface.serve.settings import ServeSettings

    settings = ServeSettings(
        fmr=fmr,
        threshold=threshold,
        requests_per_second=rate,
        burst=max(1, int(2 * rate)),
        max_request_bytes=max_megabytes << 20,
        max_batch=max_batch,
        max_wait_seconds=max_wait_ms / 1e3,
        timeout_seconds=timeout,
        workers=workers or os.cpu_count() or 1,
    )
    check_host(host, has_keys=keys is not None)
    with progress_bars() as show:
        finder = open_detector(detector, progress=show)
    opened, face_model = open_with_model(gallery, model)
    with opened:
        who = f"keys of {keys}" if keys else "no keys: whoever is on this machine may do everything"
        serve_gallery(
            opened,
            face_model,
            finder,
            host=host,
            port=port,
            keys=keys,
            threads=threads,
            settings=settings,
            started=lambda address: print(
                f"{address} serves {gallery} ({len(opened):,} people); {who}; Ctrl-C ends it", file=sys.stderr
            ),
        )


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(serve, words, "serve")
    return 0
