"""One verified file from the network, gone on with where an earlier attempt stopped.

pooch does the bookkeeping (is it there, is it what it should be, put it in place at once and whole). Its own downloader
starts again from the first byte, so `_Transfer` takes its place: what has arrived is kept in `NAME.part`, with the
server's validator (ETag or date) in `NAME.part.json`, and asked to be continued with `Range` and `If-Range`. A server
that ignores the range, or whose file has changed since, sends the whole file, and the part is begun anew.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pooch

from marginface.errors import InputError, WorkError
from marginface.fetching.checksums import checksum_of, expected_checksum, remember, remembered_in
from marginface.fetching.registry import UNRECORDED, PublicFile

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
"""`progress(what, done, total)`: bytes while a file comes, photographs while they are cropped.

A file whose length the server does not tell is reported once, when it is here."""

CHUNK_BYTES = 1 << 16
TIMEOUT_SECONDS = 30.0
"""Without a byte from the server for so long, the connection counts as broken."""


def download(
    file: PublicFile, folder: Path, *, progress: Progress, attempts: int = 5, pause_seconds: float = 1.0
) -> Path:
    """Return the file in `folder`, verified; what is already there in full and unharmed is not asked for again.

    A file without a recorded checksum is trusted the first time; its SHA-256 is then kept in `NAME.sha256` (the format
    of sha256sum), and a copy that differs is refused from then on.

    Args:
        file: what to bring.
        folder: where to; made when missing.
        progress: told the bytes that are here and the bytes that there will be.
        attempts: how many broken connections in a row that brought nothing new are borne before giving up.
        pause_seconds: between two attempts.

    Raises:
        WorkError: no network, a refusing server, a full disk, or bytes that are not those expected.
        InputError: a file with a remembered checksum was changed on this disk.
    """
    path = folder / file.name
    expected = expected_checksum(file, folder)
    intact = path.exists() and (expected is None or checksum_of(path, expected) == expected)
    if path.exists() and expected is not None and not intact:
        if file.checksum == UNRECORDED:
            note = remembered_in(file, folder).name
            raise InputError(
                f"{path}: this file is not the one that was first downloaded (expected {expected}, found "
                f"{checksum_of(path, expected)}); delete it to download it again, or delete {note} to accept it."
            )
        logger.warning("%s does not have the checksum on record; it is downloaded again", path)
    transfer = _Transfer(
        file=file, folder=folder, expected=expected, progress=progress, attempts=attempts, pause_seconds=pause_seconds
    )
    with _disk_errors(folder, file), _quiet_pooch():
        if not intact:
            transfer.complete()
        pooch.retrieve(file.address, known_hash=expected, fname=file.name, path=folder, downloader=transfer)
        if file.checksum == UNRECORDED and expected is None:
            remember(file, folder)
    return path


@dataclass(kw_only=True)
class _Transfer:
    """Completes the part over as many requests as it takes; then, as pooch's downloader, hands it over.

    Everything that takes time comes before pooch makes its temporary file, which a kill would leave behind.
    """

    file: PublicFile
    folder: Path
    expected: str | None
    progress: Progress
    attempts: int
    pause_seconds: float

    def complete(self) -> None:
        """Bring what is missing of the part, and verify the whole."""
        import requests  # pooch needs it too, and imports it as late

        url = self.file.address
        fruitless = 0
        while True:
            before = self._num_bytes()
            try:
                self._bring(url)
                break
            except requests.RequestException as error:
                fruitless = 0 if self._num_bytes() > before else fruitless + 1
                logger.debug("%s: %s", self.file.name, error)
                if fruitless >= self.attempts:
                    raise WorkError(self._broken(url)) from error
                time.sleep(self.pause_seconds)
        self._verify()

    def __call__(self, url: str, output_file: str, _: Any) -> None:
        """Hand the verified part to pooch."""
        os.replace(self.part, output_file)
        self.about_part.unlink(missing_ok=True)

    @property
    def part(self) -> Path:
        return self.folder / f"{self.file.name}.part"

    @property
    def about_part(self) -> Path:
        return self.folder / f"{self.file.name}.part.json"

    def _bring(self, url: str) -> None:
        """One request: append to the part what is missing of it, or begin it anew."""
        import requests

        start, about = self._where_to_go_on(url)
        if start and start == about["total"]:
            return
        headers = {"User-Agent": f"marginface ({pooch.__name__} {pooch.__version__})", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
            if about["validator"]:
                headers["If-Range"] = about["validator"]
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
            goes_on = response.status_code == 206 and _first_byte(response.headers) == start
            if start and not goes_on and response.status_code in (206, 416):  # a range that does not fit what we have
                self._discard()
                raise requests.ConnectionError(f"the server answered {response.status_code} to a range from {start}")
            if not goes_on and response.status_code != 200:
                raise WorkError(
                    f"{url}: the server answered {response.status_code} {response.reason}; try again later, or save "
                    f"{self.file.name} by other means as {self.folder / self.file.name}, where it is looked for first."
                )
            start = start if goes_on else 0
            total = self._total(response.headers, start)
            if not goes_on:
                about = {"address": url, "validator": _validator(response.headers), "total": total}
                self._discard()
                self.about_part.write_text(json.dumps(about), encoding="utf-8")
            self._write(response.iter_content(CHUNK_BYTES), start, total)
        if total is not None and self._num_bytes() != total:
            raise requests.ConnectionError(f"the connection ended at {self._num_bytes()} of {total} bytes")

    def _write(self, chunks: Iterator[bytes], start: int, total: int | None) -> None:
        free = shutil.disk_usage(self.folder).free
        if total is not None and free < total - start:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = start
        with self.part.open("ab") as part:
            for chunk in chunks:
                part.write(chunk)
                done += len(chunk)
                if total is not None:
                    self.progress(self.file.name, done, total)
        if total is None:
            self.progress(self.file.name, done, done)

    def _where_to_go_on(self, url: str) -> tuple[int, dict[str, Any]]:
        """Return how many bytes of the part can be kept and what is known of it; an unusable part is removed."""
        nothing = {"address": url, "validator": None, "total": None}
        try:
            about = {**nothing, **json.loads(self.about_part.read_text(encoding="utf-8"))}
        except (OSError, ValueError, TypeError):
            about = {**nothing, "address": None}
        have = self._num_bytes()
        too_long = about["total"] is not None and have > about["total"]
        # without a checksum and without a validator nobody could tell two halves of different files from one file
        blind = self.expected is None and not about["validator"]
        if about["address"] != url or too_long or blind:
            self._discard()
            return 0, nothing
        return have, about

    def _total(self, headers: Any, start: int) -> int | None:
        length = headers.get("Content-Length")
        total = start + int(length) if length is not None else self.file.num_bytes
        if self.file.num_bytes is not None and total != self.file.num_bytes:
            raise WorkError(
                f"{self.file.address}: the server offers {total:,} bytes where {self.file.name} has "
                f"{self.file.num_bytes:,}; the address may lead elsewhere by now, see the home page of the set."
            )
        return total

    def _verify(self) -> None:
        if self.expected is None:
            return
        got = checksum_of(self.part, self.expected)
        if got == self.expected:
            return
        damaged = self.folder / f"{self.file.name}.damaged"
        os.replace(self.part, damaged)
        self.about_part.unlink(missing_ok=True)
        first_seen = self.file.checksum == UNRECORDED
        advice = (
            f"the publisher may have changed it: delete {self.file.name}.sha256 to accept the new one"
            if first_seen
            else "run the same command to download it anew; if that ends so too, the file at that address has changed"
        )
        raise WorkError(
            f"{self.file.name} from {self.file.address} is not what it should be: expected {self.expected}, got {got}; "
            f"it was put aside as {damaged}; {advice}."
        )

    def _discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self.about_part.unlink(missing_ok=True)

    def _num_bytes(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _broken(self, url: str) -> str:
        kept = self._num_bytes()
        here = f"{kept:,} bytes are kept and the same command goes on from there" if kept else "nothing has come yet"
        return f"{self.file.name}: no lasting connection to {urlsplit(url).netloc}; {here}; is there a network?"


def _first_byte(headers: Any) -> int | None:
    """Return where the body of a 206 begins: 5 for `Content-Range: bytes 5-9/10`."""
    words = headers.get("Content-Range", "").removeprefix("bytes ").partition("-")
    return int(words[0]) if words[0].isdigit() else None


def _validator(headers: Any) -> str | None:
    etag = headers.get("ETag")
    if etag and not etag.startswith("W/"):  # a weak one may not be used in If-Range (RFC 9110, 13.1.5)
        return str(etag)
    modified = headers.get("Last-Modified")
    return None if modified is None else str(modified)


@contextlib.contextmanager
def _disk_errors(folder: Path, file: PublicFile) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise WorkError(
                f"{folder}: the disk is full, {file.name} does not fit; make room and run the same command, which goes "
                "on where it stopped."
            ) from error
        raise WorkError(f"{folder}: cannot write {file.name} here ({error.strerror or error}).") from error


@contextlib.contextmanager
def _quiet_pooch() -> Iterator[None]:
    """pooch tells its own story on stderr; ours is told through `progress`."""
    told = pooch.get_logger()
    level = told.level
    told.setLevel(logging.WARNING)
    try:
        yield
    finally:
        told.setLevel(level)
