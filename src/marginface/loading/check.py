"""Every byte and every image of a source looked at, by several processes, and never twice if it is interrupted."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol, runtime_checkable

import cv2

from marginface.errors import InputError, WorkError
from marginface.images.decode import decode_image
from marginface.images.header import image_format
from marginface.images.resize import fit
from marginface.records.checksum import checksum_of
from marginface.records.record import RecordSource

IMAGES_A_TASK = 1000


@runtime_checkable
class WithSums(Protocol):
    """A source whose files carry checksums of their own."""

    verify: bool
    """Whether every image is compared with its checksum as it is read."""

    @property
    def num_parts(self) -> int:
        """How many files there are."""

    def part_fault(self, number: int) -> str:
        """Return what is wrong with file `number`; "" where nothing is."""


@dataclass(kw_only=True)
class Findings:
    """What was found, in all or in one task."""

    num_images: int = 0
    num_parts: int = 0
    """Files whose checksums were compared."""
    formats: Counter[str] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)
    """Of the images, "width x height" in pixels."""
    broken: dict[str, str] = field(default_factory=dict)
    """key: a sentence, for each image that cannot be used."""
    faults: list[str] = field(default_factory=list)
    """A sentence for each file whose bytes changed."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.broken and not self.faults

    def add(self, other: Findings) -> None:
        """Take in what another task found."""
        self.num_images += other.num_images
        self.num_parts += other.num_parts
        self.formats.update(other.formats)
        self.sizes.update(other.sizes)
        self.broken.update(other.broken)
        self.faults.extend(other.faults)

    @classmethod
    def from_json(cls, words: Mapping[str, Any]) -> Findings:
        """Return what `vars` made JSON of."""
        counted = {name: Counter(words[name]) for name in ("formats", "sizes")}
        return cls(**{**words, **counted})


def check(
    open_source: Callable[[], RecordSource],
    out: str | Path,
    *,
    num_workers: int = 2,
    max_side: int = 512,
    progress: Callable[[int, int], None] | None = None,
) -> Findings:
    """Return what is wrong with a source, after reading and decoding everything in it.

    `out` gets `check.json` and `broken.txt`, the keys of images that cannot be used, a line each, as `exclude=` takes
    them. While the work goes on, `journal.jsonl` there tells what is done: the same call goes on after it.

    Args:
        open_source: opens it; called once in each process.
        out: the folder to write into.
        num_workers: processes; 0 works in this one.
        max_side: larger images are not aligned crops and count as broken, pixels.
        progress: called with (images done, images in all).

    Raises:
        InputError: an empty source, or a journal that belongs to another one.
        WorkError: a process died, or the folder cannot be written.
    """
    source = open_source()
    if not len(source):
        raise InputError(f"{source.location} holds no image.")
    with_sums = _with_sums(source)
    tasks = [f"part {i}" for i in range(with_sums.num_parts if with_sums else 0)]
    num = len(source)
    tasks += [f"images {i} {min(i + IMAGES_A_TASK, num)}" for i in range(0, num, IMAGES_A_TASK)]
    out = Path(out)
    found = Findings()
    try:
        out.mkdir(parents=True, exist_ok=True)
        with open(out / "journal.jsonl", "a+b") as journal:
            heading = {"source": source.location, "checksum": checksum_of(source), "max_side": max_side}
            done = _taken_up(journal, heading, str(out))
            for part in done.values():
                found.add(part)
            left = [task for task in tasks if task not in done]
            for task, part in _results(open_source, source, left, max_side=max_side, num_workers=num_workers):
                _write_line(journal, {"task": task, **vars(part)})
                found.add(part)
                if progress is not None:
                    progress(found.num_images, len(source))
        _write_findings(found, source, out)
    except OSError as error:
        raise WorkError(f"{out}: could not be written ({error.strerror or error}).") from error
    return found


def _with_sums(source: RecordSource) -> WithSums | None:
    """Return the source whose checksums stand for this one, told to compare them."""
    whole = source
    while hasattr(whole, "source"):  # a part of a packed set lies in the same files
        whole = whole.source
    if not isinstance(whole, WithSums):
        return None
    whole.verify = True
    return whole


def _taken_up(journal: BinaryIO, heading: Mapping[str, Any], where: str) -> dict[str, Findings]:
    """Return what an interrupted call had found by task; begin the journal where there is none."""
    journal.seek(0)
    lines = journal.read().split(b"\n")
    whole = lines[:-1]  # a line without its end was being written when the work stopped
    journal.truncate(sum(len(line) + 1 for line in whole))
    if not whole:
        _write_line(journal, heading)
        return {}
    try:
        first, *rest = [json.loads(line) for line in whole]
        done = {words.pop("task"): Findings.from_json(words) for words in rest}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{where}/journal.jsonl is damaged ({error}); delete it to check anew.") from error
    if first != heading:
        raise InputError(
            f"{where}/journal.jsonl belongs to an unfinished check of {first.get('source')}, or of other images than"
            " there are now; delete it or choose another folder."
        )
    return done


def _write_line(journal: BinaryIO, words: Mapping[str, Any]) -> None:
    journal.write((json.dumps(words) + "\n").encode())
    journal.flush()


def _results(
    open_source: Callable[[], RecordSource],
    source: RecordSource,
    tasks: Sequence[str],
    *,
    max_side: int,
    num_workers: int,
) -> Iterator[tuple[str, Findings]]:
    if num_workers < 1:
        yield from ((task, _look(source, task, max_side=max_side)) for task in tasks)
        return
    context = multiprocessing.get_context("forkserver")  # forking a process with threads may hang
    with ProcessPoolExecutor(num_workers, context, initializer=_open_once, initargs=(open_source,)) as pool:
        waiting: dict[Future[Findings], str] = {}
        queue = iter(tasks)
        try:
            while True:
                for task in queue:
                    waiting[pool.submit(_look_there, task, max_side)] = task
                    if len(waiting) >= 2 * num_workers:
                        break
                if not waiting:
                    return
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    yield waiting.pop(future), future.result()
        except BrokenProcessPool as error:
            raise WorkError("a checking process died; most often memory is full: use fewer workers.") from error
        finally:
            pool.shutdown(cancel_futures=True)


_SOURCE: RecordSource | None = None


def _open_once(open_source: Callable[[], RecordSource]) -> None:
    """Open the source in a worker: nothing is copied there from the parent."""
    global _SOURCE
    cv2.setNumThreads(0)
    _SOURCE = open_source()
    _with_sums(_SOURCE)


def _look_there(task: str, max_side: int) -> Findings:
    assert _SOURCE is not None
    return _look(_SOURCE, task, max_side=max_side)


def _look(source: RecordSource, task: str, *, max_side: int) -> Findings:
    """Return the findings of one task: "part NUMBER" or "images FIRST END"."""
    what, *numbers = task.split()
    found = Findings()
    if what == "part":
        with_sums = _with_sums(source)
        fault = with_sums.part_fault(int(numbers[0])) if with_sums else ""
        return Findings(num_parts=1, faults=[fault] if fault else [])
    for index in range(int(numbers[0]), int(numbers[1])):
        found.num_images += 1
        try:
            record = source[index]
            found.formats[image_format(record.image)] += 1
            image = decode_image(record.image, name=record.key)
            found.sizes[f"{image.shape[1]} x {image.shape[0]}"] += 1
            fit(image, size=112, max_side=max_side, name=record.key)  # for its refusals
        except InputError as error:
            found.broken[source.keys[index]] = str(error)
    return found


def _write_findings(found: Findings, source: RecordSource, out: Path) -> None:
    order = {key: place for place, key in enumerate(source.keys) if key in found.broken}
    found.broken = {key: found.broken[key] for key in order}
    keys = "".join(f"{key}\n" for key in found.broken).encode("utf-8", "surrogateescape")
    words = {"source": source.location, **vars(found)}
    for name, data in (("broken.txt", keys), ("check.json", (json.dumps(words, indent=1) + "\n").encode())):
        aside = out / f".{name}.{os.getpid()}.tmp"
        aside.write_bytes(data)
        os.replace(aside, out / name)
    (out / "journal.jsonl").unlink()
