"""`marginface doctor`: what will be used on this machine, and why."""

from __future__ import annotations

from marginface.cli.arguments import parse, table


def main(words: list[str]) -> int:
    """Print the table; exit code 0 also where something optional is missing."""

    def doctor() -> None:
        """Say what will be used on this machine: torch, threads, device, precision, decoder, extras, decode rate."""
        from rich.console import Console

        from marginface.training.machine import describe_machine

        Console().print(table(describe_machine(), ("what", "used", "why"), title="marginface doctor"))

    parse(doctor, words, "doctor")
    return 0
