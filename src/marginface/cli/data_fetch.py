"""`marginface data fetch NAME`: a public data set, downloaded and turned into records."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from marginface.cli.arguments import parse
from marginface.cli.progress import progress_bars
from marginface.errors import InputError

if TYPE_CHECKING:
    from marginface.fetching import PublicSet


def fetch(
    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")] = "",
    out: Path | None = None,
    yes: bool = False,
    detector: Path | None = None,
    registry: Path | None = None,
) -> None:
    """Download a public data set, check it, and turn it into a tar of aligned faces; goes on where it was interrupted.

    Args:
        name: Which set; without a name the known sets are listed.
        out: Folder to write into; data/NAME unless given.
        yes: Accept the terms of sets that are for research only without being asked.
        detector: A YuNet .onnx to align with; without it the landmarks that the set itself brings are used.
        registry: Another registry file, such as your own mirror's.
    """
    from marginface.fetching import fetch as fetch_set
    from marginface.fetching import public_sets

    if not name:
        for known in public_sets(registry).values():
            print(f"{known.name}: {known.title}\n  {known.licence}\n")
        return
    with progress_bars() as show:
        fetched = fetch_set(
            name,
            destination=out or Path("data") / name,
            confirm=lambda terms: _confirm(terms, yes),
            progress=show,
            detector=detector,
            registry=registry,
        )
    print(fetched.summary())


def _confirm(terms: PublicSet, yes: bool) -> bool:
    print(terms.terms(), file=sys.stderr)
    if yes:
        return True
    if not sys.stdin.isatty():
        raise InputError(f"{terms.name}: its terms allow research only; read them above and accept with --yes.")
    return input("Download under these terms? [y/N] ").strip().lower() in {"y", "yes"}


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(fetch, words, "data fetch")
    return 0
