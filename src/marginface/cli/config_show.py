"""`marginface config show RECIPE`: every setting, resolved."""

from __future__ import annotations

from typing import Annotated

import tyro

from marginface import config as recipes
from marginface.cli.arguments import parse, split_overrides


def main(words: list[str]) -> int:
    """Print the resolved recipe as YAML, itself a valid recipe; overrides as in `train`."""
    own, overrides = split_overrides(words, {"--help": False})

    def show(recipe: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RECIPE")]) -> None:
        """Print a recipe with every setting resolved; `--optim.lr 0.2` style overrides are applied.

        Args:
            recipe: A YAML file, or the name of a recipe that ships with the package.
        """
        from marginface.training.config import TrainConfig

        mapping = recipes.with_overrides(recipes.read_recipe(recipe), overrides)
        print(recipes.to_yaml(recipes.load(TrainConfig, mapping)), end="")

    parse(show, own, "config show")
    return 0
