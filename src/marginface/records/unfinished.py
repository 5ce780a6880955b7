"""A target that is written in a hidden folder beside its place: stopped at any moment, the same work goes on there.

    .NAME.partial/journal.json   what the target is made from, and how much of it is on the disk
    .NAME.partial/NAME           the target, a file or a folder; it gets its place when it is whole

Files grow record by record (`grow`, `mark`), or come as whole parts (`part`). Either way bytes are on the disk before
anything says so, and what nothing speaks of is cut off or written again. So a kill, a full disk or a power cut leaves
nothing that is taken for more than it is, and the bytes come out as without a break.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from marginface.errors import InputError, WorkError
from marginface.records.checksum import checksum_of, sample_of
from marginface.records.record import RecordSource
from marginface.records.write_aside import locked, refuse_existing

logger = logging.getLogger(__name__)

_FORMAT = "marginface unfinished 1"
_SECONDS = 2.0
"""Between two entries in the journal: so much is done again at most."""
_REST = 10
"""Or so many times what an entry took, where that is longer: waiting for the disk is a tenth of the time at most."""
_TAIL_BYTES = 1 << 16
"""The end of each file is compared when the work goes on."""


def job_of(source: RecordSource, **settings: Any) -> dict[str, Any]:
    """Return what tells one piece of work from another: the source, what it holds, and the settings, as JSON values."""
    return {"source": source.location, "num_images": len(source), "checksum": checksum_of(source), **settings}


@contextlib.contextmanager
def unfinished(path: Path, source: RecordSource, **settings: Any) -> Iterator[Unfinished]:
    """Yield the place where a target is written from a source; when the block ends well, it is moved to `path`.

    Args:
        path: of the file or folder to make; its parents are made.
        source: what it is made from.
        settings: what else its bytes depend on; JSON values.

    Raises:
        InputError: `path` exists, an image cannot be read, or another process is at it.
        WorkError: it cannot be written.
    """
    refuse_existing(path)
    with workshop(path, {**job_of(source, **settings), "sample": sample_of(source)}) as work:
        refuse_existing(path)  # another process may have finished it a moment ago
        yield work
        work.settle()
        work.close()
        work.target.rename(path)


@contextlib.contextmanager
def workshop(path: Path, job: Mapping[str, Any], *, kind: str = "partial") -> Iterator[Unfinished]:
    """Yield a hidden folder beside `path`, for work on it alone, which is removed when the block ends well.

    What an interrupted run left in it is taken up where it is of the same job, and is removed with a word about it
    where it is not.

    Args:
        path: what the work is for; its parents are made.
        job: what tells it from other work, JSON values.
        kind: the end of the folder's name.

    Raises:
        InputError: another process is at it.
        WorkError: something cannot be written.
    """
    folder = path.with_name(f".{path.name}.{kind}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            work = Unfinished(folder, path.name, job)
            try:
                yield work
            finally:
                work.close()
            shutil.rmtree(folder)
    except OSError as error:
        raise WorkError(f"{path}: could not be written ({error.strerror or error}).") from error


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(folder / "lock", wait=False))
        except BlockingIOError:
            raise InputError(f"{folder}: another process is writing there; let it finish or stop it.") from None
        yield


class Unfinished:
    """The hidden folder, and what is known to be whole in it."""

    def __init__(self, folder: Path, name: str, job: Mapping[str, Any]) -> None:
        """Take up what is there, or begin anew; see `workshop`."""
        self.folder, self.target = folder, folder / name
        self.done = 0
        """Records that are whole in every growing file."""
        self._job = dict(job)
        self._marks: dict[str, list[int]] = {}
        """{file: [bytes that belong to these records, CRC-32 of the last of them]}."""
        self._files: dict[str, BinaryIO] = {}
        why_not = self._take_up()
        if why_not:
            logger.warning("%s, left by an interrupted run, %s; it begins anew", folder, why_not)
        if why_not is not None:
            self._clear()
            self._write_journal()
        self._due = time.monotonic() + _SECONDS

    def grow(self, *paths: Path) -> list[BinaryIO]:
        """Return these files of the folder, cut to what belongs to the first `done` records, to be written on."""
        files: list[BinaryIO] = []
        for path in paths:
            name = path.relative_to(self.folder).as_posix()
            file = self._files[name] = open(path, "ab")  # noqa: SIM115 - `close` closes it
            size = self._marks.get(name, [0])[0]
            file.truncate(size)
            file.seek(size)
            files.append(file)
        return files

    def mark(self, done: int) -> None:
        """Say that `done` records are whole in every growing file; every few seconds it is put down in the journal."""
        self.done = done
        if time.monotonic() >= self._due:
            began = time.monotonic()
            self.settle()
            for name, file in self._files.items():
                self._marks[name] = [file.tell(), _tail(self.folder / name, file.tell())]
            self._write_journal()
            now = time.monotonic()
            self._due = now + max(_SECONDS, _REST * (now - began))

    @contextlib.contextmanager
    def part(self, path: Path) -> Iterator[Path]:
        """Yield a path to write a part to, which becomes `path` of the target when it is whole and on the disk."""
        aside = self.folder / "part"
        aside.unlink(missing_ok=True)
        yield aside
        _flush(aside)
        aside.replace(path)

    def settle(self) -> None:
        """Bring the growing files to the disk."""
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Close the growing files; what is not on the disk by then may be lost."""
        for file in self._files.values():
            with contextlib.suppress(OSError):  # a full disk, of which the user hears from the write that failed
                file.close()

    def _take_up(self) -> str | None:
        """Read the journal; return None if it is of this job and its files are there, else why not, "" if none is."""
        try:
            words = json.loads((self.folder / "journal.json").read_bytes())
            begun, done = words["job"], words["done"]
            marks = {str(name): [int(size), int(crc)] for name, (size, crc) in words["files"].items()}
            if words["format"] != _FORMAT or not isinstance(begun, dict) or not isinstance(done, int):
                raise ValueError("another format")
        except FileNotFoundError:
            return ""
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return "has a damaged journal"
        different = sorted(name for name in {*begun, *self._job} if begun.get(name) != self._job.get(name))
        if different:
            return f"is of {begun.get('source')} as it was then, not of this job ({', '.join(different)})"
        for name, (size, crc) in marks.items():
            try:
                whole = _tail(self.folder / name, size) == crc
            except OSError:
                whole = False
            if not whole:
                return f"has lost the end of {name}"
        logger.info("going on with what an interrupted run left in %s", self.folder)
        self.done, self._marks = done, marks
        return None

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != "lock":
                path.unlink()

    def _write_journal(self) -> None:
        words = {"format": _FORMAT, "job": self._job, "done": self.done, "files": self._marks}
        aside = self.folder / "journal.new"
        aside.write_text(json.dumps(words), encoding="utf-8")
        _flush(aside)
        aside.replace(self.folder / "journal.json")


def _tail(path: Path, size: int) -> int:
    """Return the CRC-32 of the last bytes before byte `size`, -1 where the file does not reach that far."""
    with open(path, "rb") as file:
        file.seek(max(size - _TAIL_BYTES, 0))
        data = file.read(min(size, _TAIL_BYTES))
    return zlib.crc32(data) if len(data) == min(size, _TAIL_BYTES) else -1


def _flush(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
