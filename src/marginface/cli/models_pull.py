"""`marginface models pull NAME`: published weights, downloaded, checked and imported."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from marginface.cli.arguments import command_line, parse
from marginface.cli.progress import progress_bars
from marginface.errors import InputError

if TYPE_CHECKING:
    from marginface.fetching.model_registry import PublishedModel


def pull(
    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")] = "",
    out: Path | None = None,
    yes: bool = False,
    registry: Path | None = None,
) -> None:
    """Download published weights, check them and turn them into a model folder; goes on where it was interrupted.

    Args:
        name: Which model; without a name the known ones are listed.
        out: Folder to write; models/NAME unless given.
        yes: Accept terms that do not allow commercial use without being asked.
        registry: Another registry file, such as your own mirror's.
    """
    from marginface.fetching.model_registry import published_models
    from marginface.fetching.pull import pull as pull_model

    if not name:
        for known in published_models(registry).values():
            print(f"{known.name}: {known.title}\n  {known.licence}; commercial use {known.commercial_use}\n")
        return
    folder = out or Path("models") / name
    with progress_bars() as show:
        imported = pull_model(
            name,
            folder=folder,
            confirm=lambda terms: _confirm(terms, yes),
            progress=show,
            registry=registry,
            command=command_line(),
        )
    model = imported.model
    print(f"{folder}: {model.backbone_config.kind}, {model.embedding_dim} values")
    print(model.card.terms())
    for note in imported.notes:
        print(note)


def _confirm(terms: PublishedModel, yes: bool) -> bool:
    print(terms.terms(), file=sys.stderr)
    if yes:
        return True
    if not sys.stdin.isatty():
        raise InputError(f"{terms.name}: read its terms above and accept them with --yes.")
    return input("Download under these terms? [y/N] ").strip().lower() in {"y", "yes"}


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(pull, words, "models pull")
    return 0
