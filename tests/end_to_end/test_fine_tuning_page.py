"""What the page on fine-tuning tells people to type can be typed, and the settings that it names exist."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

import yaml

from marginface import config as recipes
from marginface.cli.arguments import split_overrides
from marginface.cli.finetune import FILLED_IN, FLAGS
from marginface.training.config import StartConfig, TrainConfig

PAGE = (Path(__file__).parents[2] / "docs" / "fine-tuning.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.S)


def test_commands_have_known_flags_and_their_recipe_resolves() -> None:
    (commands,) = _blocks("bash")
    for command in commands.strip().splitlines():
        words = shlex.split(command)
        assert words[:2] == ["marginface", "finetune"]
        own, overrides = split_overrides(words[2:], FLAGS)
        assert all(word in FLAGS for word in own if word.startswith("--"))
        assert not any(word.startswith(FILLED_IN) for word in overrides)
        recipes.load(TrainConfig, recipes.with_overrides(recipes.read_recipe("fine_tune"), overrides))


def test_the_recipe_block_is_a_start() -> None:
    (block,) = (yaml.safe_load(text) for text in _blocks("yaml"))
    start = recipes.load(TrainConfig, recipes.read_recipe("fine_tune") | block).start
    assert start is not None
    assert (start.trains, start.distillation) == ("last_stage", 1.0)


def test_settings_in_the_table_exist() -> None:
    known = recipes.dump(recipes.load(TrainConfig, recipes.read_recipe("fine_tune")))
    settings = set(re.findall(r"`((?:start|optim)\.[a-z_]+)`", PAGE))
    assert {f"start.{f.name}" for f in dataclasses.fields(StartConfig)} - settings == {"start.model", "start.trains"}
    for name in settings:
        group, _, key = name.partition(".")
        assert key in known[group], name
    assert "norm_warm_start_images" in known
