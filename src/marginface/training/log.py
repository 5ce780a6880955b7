"""What a run says while it works: JSONL for machines, a bar or plain lines for people, TensorBoard if asked."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from marginface.errors import InputError, WorkError

logger = logging.getLogger(__name__)
CLOCK_FIELDS = ("time", "images_per_second", "seconds")
"""Fields that depend on the clock; all others are bitwise the same when a run is repeated or resumed."""


class JsonLines:
    """Appends events to log.jsonl, each flushed, so that a killed run keeps all but the line in flight."""

    def __init__(self, path: Path, *, resume_after_step: int | None = None) -> None:
        """Open `path`; when resuming, drop the lines of steps that will be run again."""
        self.path = path
        if resume_after_step is not None:
            _keep_steps_up_to(path, resume_after_step)
        self._file: IO[str] = open(path, "a", encoding="utf-8")  # noqa: SIM115 - closed by close()

    def write(self, event: str, **fields: Any) -> None:
        """Append one line: the event's name, the time and its fields."""
        line = json.dumps({"event": event, **fields, "time": round(time.time(), 3)}, ensure_ascii=False)
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError as error:
            raise WorkError(
                f"{self.path}: the log cannot be written ({error.strerror}); make room and --resume."
            ) from error

    def close(self) -> None:
        """Close the file; further events are an error."""
        self._file.close()


def read_events(path: Path, event: str | None = None) -> list[dict[str, Any]]:
    """Return the events of a log, or those of one name; a torn last line (killed while writing) is left out."""
    events = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            parsed = json.loads(line)
        except json.JSONDecodeError:
            continue
        if event is None or parsed["event"] == event:
            events.append(parsed)
    return events


def _keep_steps_up_to(path: Path, step: int) -> None:
    if not path.exists():
        return
    kept = [e for e in read_events(path) if e.get("step", 0) <= step]
    aside = path.with_name(f".{path.name}.writing")
    aside.write_text("".join(json.dumps(e, ensure_ascii=False) + "\n" for e in kept), encoding="utf-8")
    os.replace(aside, path)


class Display:
    """The progress bar of a training run; a line every half minute where the output is not a terminal."""

    def __init__(self, total_steps: int, *, first_step: int, seconds_between_lines: float = 30.0) -> None:
        self._total, self._first = total_steps, first_step
        self._console = Console(file=sys.stderr)
        self._seconds_between_lines = seconds_between_lines
        self._started = self._last_line = time.monotonic()
        self._progress: Progress | None = None
        if self._console.is_terminal:
            columns = (
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeRemainingColumn(compact=True),
                TextColumn("{task.fields[numbers]}"),
            )
            self._progress = Progress(*columns, console=self._console)
            self._task = self._progress.add_task("", total=total_steps, completed=first_step, numbers="")
            self._progress.start()

    def step(self, step: int, numbers: dict[str, Any]) -> None:
        """Show that `step` steps are done; `numbers` are the newest logged means (may be empty at first)."""
        text = _short(numbers)
        if self._progress is not None:
            self._progress.update(self._task, completed=step, numbers=text)
            return
        now = time.monotonic()
        if now - self._last_line >= self._seconds_between_lines or step == self._total:
            self._last_line = now
            left = (now - self._started) / max(step - self._first, 1) * (self._total - step)
            self.say(f"step {step}/{self._total}  {text}  {left / 60:.1f} min left")

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._progress is not None:
            self._progress.stop()


def _short(numbers: dict[str, Any]) -> str:
    if not numbers:
        return ""
    return (
        f"epoch {numbers['epoch']:.1f}  loss {numbers['loss']:.3f}  lr {numbers['lr']:.3g}  "
        f"norm {numbers['mean_norm']:.1f}  cos {numbers['mean_target_cos']:.3f}  "
        f"{numbers['images_per_second']:.0f} images/s"
    )


class TensorBoard:
    """Scalars for TensorBoard, from the same numbers as log.jsonl."""

    def __init__(self, folder: Path, *, first_step: int) -> None:
        """Open the writer; a resumed run takes back the points of steps that it runs again.

        Raises:
            InputError: tensorboard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InputError(
                "log.tensorboard: TensorBoard is not installed; run `pip install 'marginface[tensorboard]'` or set it "
                "to false."
            ) from error
        self._writer = SummaryWriter(str(folder), purge_step=first_step + 1)

    def write(self, prefix: str, step: int, numbers: Mapping[str, Any]) -> None:
        """Add one point to the curve of each number."""
        for name, value in numbers.items():
            if isinstance(value, (int, float)) and name != "step":
                self._writer.add_scalar(f"{prefix}/{name}", value, step)

    def close(self) -> None:
        """Flush and close."""
        self._writer.close()
