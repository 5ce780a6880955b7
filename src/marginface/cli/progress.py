"""The progress of every long verb: bars with rate and time left, plain lines where nobody watches."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 15.0
Show = Callable[[str, int, int], None]
"""Called with (what is being done, how much is done, how much there is)."""


@contextlib.contextmanager
def progress_bars() -> Iterator[Show]:
    """Yield `show(what, done, total)`; every new `what` gets a bar of its own."""
    console = Console(file=sys.stderr)
    if not console.is_terminal:
        yield _lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}  {task.fields[rate]}"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}
        started: dict[str, float] = {}
        before = time.monotonic()  # a new kind of work began when the one before it was last heard of

        def show(what: str, done: int, total: int) -> None:
            nonlocal before
            if what not in tasks:
                started[what] = before
                tasks[what] = bars.add_task(what, total=total, rate="")
            before = time.monotonic()
            rate = done / max(before - started[what], 1e-9)
            bars.update(tasks[what], completed=done, total=total, rate=f"{rate:,.0f}/s")

        yield show


def _lines() -> Show:
    started: dict[str, float] = {}
    last: dict[str, float] = {}
    before = time.monotonic()

    def show(what: str, done: int, total: int) -> None:
        nonlocal before
        began = started.setdefault(what, before)
        before = now = time.monotonic()
        if now - last.setdefault(what, now) < SECONDS_BETWEEN_LINES and done < total:
            return
        last[what] = now
        rate = done / max(now - began, 1e-9)
        left = (total - done) / max(rate, 1e-9)
        print(f"{what}: {done:,}/{total:,}, {rate:,.0f}/s, {left:.0f} s left", file=sys.stderr, flush=True)

    return show
