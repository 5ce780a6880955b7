"""`marginface gallery remove TEAM.db NAME ...`: people are erased everywhere."""

from __future__ import annotations

from typing import Annotated

import tyro

from marginface.cli.arguments import parse
from marginface.cli.gallery_faces import GalleryArgument


def remove(
    gallery: GalleryArgument,
    names: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="NAME ...")],
) -> None:
    """Erase people: name, vectors and crops. The audit log keeps a random id and the number of images.

    Args:
        gallery: As it was created.
        names: Who; nobody is removed if one of them is not enrolled.
    """
    from marginface.search.gallery import Gallery

    with Gallery(gallery) as opened:
        for name, removal in zip(names, opened.remove(*names), strict=True):
            print(f"{name}: erased, {removal.num_images} images; audit entry {removal.sequence}, {removal.person_id}")


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(remove, words, "gallery remove")
    return 0
