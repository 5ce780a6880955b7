"""`marginface data exclude packed:DIR LIST`: images that a packed set leaves out from now on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from marginface.cli.arguments import parse


def exclude(
    target: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="packed:DIR")],
    keys: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="LIST")] = None,
    undo: bool = False,
) -> None:
    """Leave the listed images out of a packed set wherever it is opened, without rewriting a shard.

    Other sources, and single runs, take SOURCE?exclude=LIST instead.

    Args:
        target: The packed set.
        keys: A file of keys, a line each, such as broken.txt of `data check`.
        undo: Take every exclusion of the set back.
    """
    from marginface.errors import InputError
    from marginface.records.packed_exclude import exclude_records, include_all
    from marginface.records.select import listed_keys

    if (keys is None) != undo:
        raise InputError("give a list of images to leave out, or --undo to take every exclusion back.")
    path = target.removeprefix("packed:")
    if keys is None:
        include_all(path)
        print(f"{target}: leaves nothing out")
    else:
        print(f"{target}: leaves {exclude_records(path, listed_keys(keys)):,} images out")


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(exclude, words, "data exclude")
    return 0
