"""`marginface gallery import TEAM.db FILE.tar`: people of an export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from marginface.cli.arguments import parse
from marginface.cli.gallery_faces import GalleryArgument


def import_people(
    gallery: GalleryArgument,
    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE.tar")],
    allow_duplicates: bool = False,
) -> None:
    """Enrol the people of an export into a gallery of the same model, which is made where there is none.

    Args:
        gallery: Where they go.
        file: What `marginface gallery export` wrote.
        allow_duplicates: Enrol people though they look like somebody with another name.
    """
    import sys

    from marginface.search.transfer import import_gallery

    told = import_gallery(file, gallery, allow_duplicates=allow_duplicates)
    for one in told:
        if one.refusal:
            print(one.refusal, file=sys.stderr)
    print(f"{sum(not one.refusal for one in told):,} of {len(told):,} people taken in")


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(import_people, words, "gallery import")
    return 0
