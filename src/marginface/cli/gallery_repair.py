"""`marginface gallery repair TEAM.db`: a damaged database is rebuilt."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from marginface.cli.arguments import parse


def repair(gallery: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TEAM.db")]) -> None:
    """Rebuild the database of a gallery from its file of samples, which names everybody. Stop all users of it first.

    Args:
        gallery: As it was created.
    """
    from marginface.search.repair import repair_gallery

    done = repair_gallery(gallery)
    print(f"{gallery}: {done.num_people:,} people with {done.num_images:,} images are back")
    if done.damaged_images:
        print(f"{done.damaged_images} images were damaged themselves and are lost; enrol these people again")
    print(
        "the audit log goes on" if done.log_goes_on else "the audit log could not be read as a whole; a new one begins"
    )
    if done.damaged_database is not None:
        print(f"the old database is {done.damaged_database}; it names people: delete it when you need it no more")


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(repair, words, "gallery repair")
    return 0
