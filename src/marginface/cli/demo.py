"""`marginface demo`: the whole job on people who do not exist, in a few minutes."""

from __future__ import annotations

import time
from pathlib import Path

from marginface.cli.arguments import command_line, parse
from marginface.cli.progress import progress_bars


def demo(out: Path = Path("runs/demo"), workers: int = 2) -> int:
    """Draw people, train on some, judge on strangers, and write a report. Goes on where an interrupted demo stopped.

    Args:
        out: Folder for the drawn sets, the run and the report.
        workers: Processes that draw and decode.
    """
    from marginface.cli.results import print_results
    from marginface.training.demo import STAND_IN, run_demo

    started = time.monotonic()
    result = run_demo(out, bars=progress_bars, workers=workers, command=command_line())
    if result.exit_code:
        return result.exit_code
    print_results(result.evaluations)
    print(f"\n{STAND_IN}\n\ntook {(time.monotonic() - started) / 60:.1f} minutes; report: {result.page}")
    return 0


def main(words: list[str]) -> int:
    """Run the verb."""
    return parse(demo, words, "demo")
