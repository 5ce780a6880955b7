"""`marginface keys list KEYS.json`: whose keys there are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from marginface.cli.arguments import parse


def show(keys: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="KEYS.json")]) -> None:
    """Print id, role, date and note of each key, separated by tabs; the keys themselves are kept nowhere.

    Args:
        keys: File of keys.
    """
    from marginface.serve.keys import KeyFile

    for line in KeyFile(keys).keys().values():
        print("\t".join([line.key_id, line.role, line.created, line.note]))


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(show, words, "keys list")
    return 0
