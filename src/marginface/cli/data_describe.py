"""`marginface data describe SOURCE`: what a data set holds, and what is wrong with it."""

from __future__ import annotations

from typing import Annotated

import tyro

from marginface.cli.arguments import parse, table


def describe(source: Annotated[str, tyro.conf.Positional], sample: int = 200) -> None:
    """Say what a data set holds: people, images of each, formats, sizes, and images that cannot be decoded.

    Args:
        source: tar:faces.tar, folder:/data/faces, list:train.txt, or a bare path.
        sample: How many images, evenly spread, to decode; 0 decodes all of them.
    """
    from rich.console import Console

    from marginface.loading.describe import describe as describe_source
    from marginface.records.open import open_records

    summary = describe_source(open_records(source), sample=sample or None)
    console = Console()
    console.print(table(summary.rows(), ("", ""), title=source))
    for sentence in summary.warnings():
        console.print(sentence, markup=False, highlight=False)


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(describe, words, "data describe")
    return 0
