"""`marginface models import FILE --out DIR`: a published file becomes a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from marginface.cli.arguments import command_line, parse


def import_files(
    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE ...")],
    name: Annotated[str, tyro.conf.arg(name="as", metavar="NAME")] = "",
    out: Path | None = None,
    colour_order: Literal["rgb", "bgr"] | None = None,
    value_range: Literal["minus_one_to_one", "zero_to_one"] | None = None,
    licence: str = "",
    commercial_use: Literal["allowed", "not allowed", "not stated"] | None = None,
    training_data: str = "",
) -> None:
    """Turn a published file of weights into a model folder; what it is, is told by its content (docs/checkpoints.md).

    Args:
        files: The file; or the one with the network and then all shards of its head, by rank.
        name: The model's name; family and network unless given.
        out: Folder to write; models/NAME unless given. A head that came with the weights is put in its head/.
        colour_order: What the network was trained on; asked for where the file does not tell.
        value_range: (x - 127.5) / 127.5 or x / 255; asked for where the file does not tell.
        licence: Of the weights; what is known of their publisher unless given.
        commercial_use: Whether that licence allows it.
        training_data: What the weights were trained on.
    """
    from marginface.models.convert import import_checkpoint

    imported = import_checkpoint(
        files,
        name=name,
        colour_order=colour_order,
        value_range=value_range,
        licence=licence,
        commercial_use=commercial_use,
        training_data=training_data,
        command=command_line(),
    )
    model = imported.model
    folder = out or Path("models") / model.name
    imported.save(folder)
    contract = model.contract
    print(f"{folder}: {model.backbone_config.kind}, {model.embedding_dim} values, recognised as {imported.family}")
    print(f"input: {contract.colour_order}, {contract.value_range}, {contract.input_size} pixels a side")
    print(model.card.terms())
    for note in imported.notes:
        print(note)


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(import_files, words, "models import")
    return 0
