"""`marginface data subset SOURCE --out LIST`: a list of chosen images, for `only=`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from marginface.cli.arguments import parse


def subset(
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")],
    out: Path,
    at_least: int | None = None,
    first: int | None = None,
    people: Path | None = None,
    numbers: Path | None = None,
) -> None:
    """Write the keys of chosen images, a line each. No image is copied: SOURCE?only=LIST opens them.

    Several conditions all hold, applied as numbers, people, first, at-least. AdaFace's 70,722 identities of MS1MV2 are
    --numbers ms1mv2_train_subset_index.txt --at-least 5, on the folder of images that its list was made for.

    Args:
        source: Where to choose from.
        out: The list to write.
        at_least: People with so many images or more.
        first: So many people, the first by label.
        people: A file of names, a line each.
        numbers: A file of positions in the source, counted from 0, with commas or line ends between them.
    """
    from marginface.errors import InputError
    from marginface.records.choose import chosen, names_in, numbers_in, write_keys
    from marginface.records.open import open_records

    for flag, value in (("--at-least", at_least), ("--first", first)):
        if value is not None and value < 1:
            raise InputError(f"{flag} {value} chooses nothing in particular; give 1 or more.")
    if all(choice is None for choice in (at_least, first, people, numbers)):
        raise InputError("say which images: --at-least, --first, --people, --numbers, or several of them.")
    records = open_records(source)
    indices = chosen(
        records,
        numbers=numbers_in(numbers) if numbers else None,
        people=names_in(people) if people else None,
        first=first,
        at_least=at_least,
    )
    write_keys(records, indices, out)
    num_people = len(set(records.labels[indices].tolist()))
    print(f"{out}: {len(indices):,} of {len(records):,} images, {num_people:,} of {len(records.identities):,} people")
    print(f"open them as {source}{'&' if '?' in source else '?'}only={out}")


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(subset, words, "data subset")
    return 0
