"""`marginface data check SOURCE`: read and decode everything, and say what is broken."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import tyro

from marginface.cli.arguments import parse
from marginface.cli.progress import progress_bars


def check(
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")],
    out: Path = Path("check"),
    workers: int = 2,
    max_side: int = 512,
) -> int:
    """Decode every image of a data set and compare every checksum it has. Exit code 1 means that something is broken.

    Interrupted, the same command goes on where it was.

    Args:
        source: What to check, such as packed:faces, recordio:faces_emore or folder:/data/faces.
        out: Folder for broken.txt (keys, for exclude=), check.json and, until it is done, the journal.
        workers: Processes that read and decode; 0 uses this one.
        max_side: Larger images are not aligned crops and count as broken, pixels.
    """
    from marginface.loading.check import check as check_all
    from marginface.records.open import open_records

    with progress_bars() as show:
        found = check_all(
            functools.partial(open_records, source),
            out,
            num_workers=workers,
            max_side=max_side,
            progress=lambda done, total: show("images", done, total),
        )
    for sentence in [*found.faults, *found.broken.values()][:10]:
        print(sentence)
    more = len(found.faults) + len(found.broken) - 10
    if more > 0:
        print(f"and {more:,} more.")
    files = f", {len(found.faults):,} of {found.num_parts:,} files changed" if found.num_parts else ""
    print(f"{source}: {len(found.broken):,} of {found.num_images:,} images cannot be used{files}")
    if found.broken:
        print(f"their keys: {out}/broken.txt; leave them out with ?exclude={out}/broken.txt")
    return 0 if found.is_sound else 1


def main(words: list[str]) -> int:
    """Run the verb."""
    return parse(check, words, "data check")
