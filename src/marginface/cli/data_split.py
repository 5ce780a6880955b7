"""`marginface data split SOURCE --out FOLDER`: train, test and strangers as lists, for `only=`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from marginface.cli.arguments import parse


def split(
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")],
    out: Path,
    people: int = 0,
    image_share: float = 0.0,
    seed: int = 0,
) -> None:
    """Split a data set by person, by image, or both: train.txt, test.txt and strangers.txt. No image is copied.

    Nobody in strangers.txt is in another list: it judges verification. The people of test.txt are those of train.txt,
    in other images: it judges how well known people are recognised again.

    Args:
        source: What to split.
        out: Folder for the lists, a key a line; SOURCE?only=LIST opens one.
        people: How many people become strangers, with all their images.
        image_share: Of everybody else's images, for test.txt; at least one of each person stays in train.txt.
        seed: Of the draws; the same seed gives the same lists.
    """
    from marginface.records.choose import split as split_records
    from marginface.records.choose import write_keys
    from marginface.records.open import open_records

    records = open_records(source)
    parts = split_records(records, people=people, image_share=image_share, seed=seed)
    for name, indices in parts.items():
        path = out / f"{name}.txt"
        if not len(indices):
            path.unlink(missing_ok=True)  # of an earlier split: half of each would share people
            continue
        write_keys(records, indices, path)
        print(f"{path}: {len(indices):,} images of {len(set(records.labels[indices].tolist())):,} people")


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(split, words, "data split")
    return 0
