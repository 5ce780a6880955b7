"""`marginface data convert SOURCE TARGET`: a data set in another format, with its bytes, labels and order."""

from __future__ import annotations

from typing import Annotated

import tyro

from marginface.cli.arguments import parse
from marginface.cli.progress import progress_bars


def convert(
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")],
    target: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TARGET")],
    append: bool = False,
    shard_mb: int | None = None,
) -> None:
    """Write all images of a data set in another format. Nothing is decoded: the images keep their bytes.

    Stopped at any moment, the same command goes on where it was, and the files come out as without the stop.

    Args:
        source: What to read, such as recordio:faces_emore, folder:/data/faces or tar:faces.tar?only=some.txt.
        target: What to write, such as packed:faces, packed:s3://bucket/faces, tar:faces.tar or folder:faces.
        append: Add to a packed set that is there; people of the same name are the same people.
        shard_mb: Size of a packed set's shards, 10^6 bytes; 268 unless given.
    """
    from marginface.errors import InputError
    from marginface.records.convert import convert as convert_records
    from marginface.records.open import open_records

    if shard_mb is not None and shard_mb < 1:
        raise InputError(f"--shard-mb {shard_mb} is no size; give 1 or more.")
    records = open_records(source)
    with progress_bars() as show:
        num = convert_records(
            records,
            target,
            lambda done, total: show("images", done, total),
            append=append,
            shard_bytes=None if shard_mb is None else shard_mb * 1_000_000,
        )
    print(f"{target}: {num:,} images")


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(convert, words, "data convert")
    return 0
