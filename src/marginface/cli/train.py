"""`marginface train RECIPE --out DIR`: one training run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import tyro

from marginface import config as recipes
from marginface.cli.arguments import command_line, parse, split_overrides
from marginface.errors import InputError


def main(words: list[str]) -> int:
    """Train a recipe; returns the exit code."""
    flags = {"--help": False, "--out": True, "--resume": False, "--dry-run": False, "--ranks": True}
    own, overrides = split_overrides(words, flags)

    def run(
        recipe: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RECIPE")],
        out: Path | None = None,
        resume: bool = False,
        dry_run: bool = False,
        ranks: int | None = None,
    ) -> int:
        """Train a margin head on a backbone. Any setting can be given too, as `--optim.lr 0.2`.

        Args:
            recipe: A YAML file, or the name of a recipe that ships with the package.
            out: The run folder to write.
            resume: Go on with the run in --out from its newest checkpoint.
            dry_run: Print the resolved recipe, its sizes and steps, what each rank needs in memory and sends, and stop.
            ranks: How many ranks --dry-run reckons with; torchrun's, or one, unless given.
        """
        from marginface.training.config import TrainConfig
        from marginface.training.train import train

        config = recipes.load(TrainConfig, recipes.with_overrides(recipes.read_recipe(recipe), overrides))
        if dry_run:
            from marginface.training.dry_run import describe_run

            if int(os.environ.get("RANK", "0")) == 0:
                print(recipes.to_yaml(config))
                print(describe_run(config, num_ranks=ranks or int(os.environ.get("WORLD_SIZE", "1"))))
            return 0
        if ranks is not None:
            raise InputError("--ranks is for --dry-run; a run has as many ranks as torchrun starts.")
        if out is None:
            raise InputError("train: say where the run goes with --out DIR.")
        return train(config, out, resume=resume, command=command_line())

    return parse(run, own, "train")
