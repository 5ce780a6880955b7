"""`marginface data augment SOURCE`: a picture of what augmentation makes of one's images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from marginface.cli.arguments import parse


def augment(
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")],
    out: Path,
    preset: str | None = None,
    recipe: str | None = None,
    images: int = 6,
    seed: int = 0,
    size: int = 112,
) -> None:
    """Draw what augmentation makes of some images of a data set, with the strength of what happened below each.

    With a preset or a recipe, eight epochs as training would see them; otherwise every operation by itself.

    Args:
        source: tar:faces.tar, folder:/data/faces, list:train.txt, or a bare path.
        out: The PNG or JPEG to write.
        preset: adaface, insightface_dali or cvlface.
        recipe: A recipe's name or file, whose data.augment is shown.
        images: How many images, spread over the data set.
        seed: Of the draws.
        size: Pixels a side.
    """
    from marginface.config import load, read_recipe
    from marginface.errors import InputError
    from marginface.images.augment import AugmentConfig
    from marginface.loading.augmented_sheet import sheet_of_config, sheet_of_operations, write_picture
    from marginface.records.open import open_records

    if preset is not None and recipe is not None:
        raise InputError("give --preset or --recipe, not both.")
    records = open_records(source)
    if preset is None and recipe is None:
        picture = sheet_of_operations(records, num_images=images, seed=seed, size=size)
    else:
        named = {"preset": preset} if recipe is None else read_recipe(recipe).get("data", {}).get("augment", {})
        config = load(AugmentConfig, named, path="data.augment")
        picture = sheet_of_config(records, config, num_images=images, seed=seed, size=size)
    write_picture(picture, out)
    print(f"wrote {out}")


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(augment, words, "data augment")
    return 0
