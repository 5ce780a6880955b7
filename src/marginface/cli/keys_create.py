"""`marginface keys create KEYS.json --role enrol`: a key for somebody who uses the service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from marginface.cli.arguments import parse


def create(
    keys: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="KEYS.json")],
    role: Literal["read", "enrol", "admin"],
    note: str = "",
) -> None:
    """Make a key and print it, once: the file keeps a hash only.

    Args:
        keys: File to add it to; made where there is none.
        role: "read" detects, embeds, verifies and searches; "enrol" also enrols and lists people; "admin" also deletes.
        note: Who or what uses it.
    """
    import sys

    from marginface.serve.keys import create_key

    line, key = create_key(keys, role, note=note)
    print(key)
    print(f"key {line.key_id} ({role}) is in {keys}; this line above is the only copy of it.", file=sys.stderr)


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(create, words, "keys create")
    return 0
