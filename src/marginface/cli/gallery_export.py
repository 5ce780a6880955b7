"""`marginface gallery export TEAM.db OUT.tar`: all people in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from marginface.cli.arguments import parse
from marginface.cli.gallery_faces import GalleryArgument


def export(
    gallery: GalleryArgument, out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT.tar")]
) -> None:
    """Write names, vectors, crops where they are kept, and the log into a tar of JSON and .npy files.

    A copy of people: removing somebody from the gallery does not remove them from it.

    Args:
        gallery: As it was created.
        out: File to write.
    """
    from marginface.search.gallery import Gallery
    from marginface.search.transfer import export_gallery

    with Gallery(gallery) as opened:
        count = export_gallery(opened, out)
    print(f"wrote {out}: {count:,} people")


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(export, words, "gallery export")
    return 0
