"""`marginface models list`: the models in some folders, with their terms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import tyro

from marginface.cli.arguments import parse
from marginface.errors import InputError


def list_models(
    folders: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER ...")] = (Path("models"),),
) -> None:
    """List the models in folders, and mark those whose terms forbid commercial use.

    Args:
        folders: Model folders, runs, or folders that hold them.
    """
    from marginface.models.store import read_description

    found = [folder for given in folders for folder in _model_folders(given)]
    if not found:
        raise InputError(f"there is no model in {', '.join(map(str, folders))}; give a folder that holds some.")
    for folder in found:
        try:
            about = read_description(folder)
        except InputError as error:
            print(f"{folder}  CANNOT BE READ\n    {error}")
            continue
        mark = {"not allowed": "NON-COMMERCIAL", "allowed": "commercial use allowed"}.get(about.card.commercial_use)
        contract = f"{about.contract.colour_order} {about.contract.value_range}"
        print(f"{folder}  {mark or 'commercial use not stated'}")
        print(f"    {about.backbone.kind}, {contract}, {about.contract.input_size} pixels")
        print(f"    licence: {about.card.licence or 'not stated'}")


def _model_folders(folder: Path) -> Iterator[Path]:
    from marginface.models.store import DESCRIPTION

    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; give one that holds models.")
    for candidate in (folder, *sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))):
        inner = next((p for p in (candidate, candidate / "model") if (p / DESCRIPTION).is_file()), None)
        if inner is not None and not (candidate != folder and candidate.name == "model" and candidate.parent == folder):
            yield inner


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(list_models, words, "models list")
    return 0
