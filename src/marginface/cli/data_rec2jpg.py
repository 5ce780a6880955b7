"""`marginface data rec2jpg SOURCE FOLDER`: records as files `identity/000.jpg`, to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from marginface.cli.arguments import parse
from marginface.cli.progress import progress_bars


def rec2jpg(
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")],
    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")],
) -> None:
    """Write every record as a file FOLDER/identity/000.jpg, numbered within each person; stopped, it goes on.

    The images keep their bytes, so nothing is lost to a second compression. `data convert SOURCE folder:FOLDER` is the
    same under the records' own names.

    Args:
        source: Such as recordio:faces_emore, a pack of verification pairs, or any other source.
        folder: What to write; it must not exist yet.
    """
    from marginface.records.convert import convert
    from marginface.records.numbered import Numbered
    from marginface.records.open import open_records

    records = Numbered(open_records(source))
    with progress_bars() as show:
        num = convert(records, f"folder:{folder}", lambda done, total: show("images", done, total))
    print(f"{folder}: {num:,} images of {len(records.identities):,} people")


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(rec2jpg, words, "data rec2jpg")
    return 0
