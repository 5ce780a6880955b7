"""The run folder: everything one run leaves behind.

runs/mine/
  recipe.yaml            the resolved settings, itself a recipe
  provenance.json        command, versions, data, parameter counts
  log.jsonl              one line an event
  checkpoints/step-00001200/    resumable state; the newest few, and that of the best evaluation
  model/                 the last weights, as a FaceModel folder
  best/                  the weights of the best evaluation, the same
  tensorboard/           events, if the recipe asks for them
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marginface import config as recipes
from marginface.errors import InputError, WorkError
from marginface.training.config import TrainConfig

FREE_TO_CHANGE = (
    "data.num_workers",
    "data.skip_broken",
    "checkpoint",
    "log",
    "evaluations",
    "evaluate_every_epochs",
    "distributed.backbone",
    "start.model",
    "compile",
    "activation_checkpointing",
)
"""Settings that a resumed run may change, as it may change the number of ranks: they cannot alter the weights beyond
rounding. Only `skip_broken` can, and without it a run that a broken image has stopped could not go on. The starting
model may have moved; that it is the same one is checked by its fingerprint."""


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run."""

    path: Path

    @property
    def recipe(self) -> Path:
        return self.path / "recipe.yaml"

    @property
    def provenance(self) -> Path:
        return self.path / "provenance.json"

    @property
    def log(self) -> Path:
        return self.path / "log.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def best(self) -> Path:
        return self.path / "best"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"


def open_new(path: Path, config: TrainConfig) -> RunFolder:
    """Return the folder of a new run, with its recipe written.

    Raises:
        InputError: the folder holds a run, or other files, already.
        WorkError: it cannot be written.
    """
    folder = RunFolder(path)
    if folder.recipe.exists():
        raise InputError(f"{path}: this folder holds a run already; --resume goes on with it, or choose another --out.")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path}: this is not an empty folder; choose another --out.")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkError(f"{path}: the run folder cannot be made ({error.strerror}).") from error
    write_text(folder.recipe, recipes.to_yaml(config))
    return folder


def open_existing(path: Path, config: TrainConfig) -> RunFolder:
    """Return the folder of a run to go on with.

    Raises:
        InputError: there is no run, or a setting that shapes the weights has another value now.
    """
    folder = RunFolder(path)
    if not folder.recipe.is_file():
        raise InputError(f"{path}: there is no run to resume here; leave out --resume to start one.")
    earlier = recipes.load(TrainConfig, recipes.read_recipe(folder.recipe))  # with settings that are newer than the run
    before, now = _flat(recipes.dump(earlier)), _flat(recipes.dump(config))
    changed = sorted(
        key
        for key in before.keys() | now.keys()
        if before.get(key) != now.get(key) and not any(key == f or key.startswith(f"{f}.") for f in FREE_TO_CHANGE)
    )
    if changed:
        shown = "; ".join(f"{key} was {before.get(key)!r}, now {now.get(key)!r}" for key in changed[:3])
        raise InputError(f"{path}: a resumed run keeps its settings, but {shown}. Start a new run in another --out.")
    write_text(folder.recipe, recipes.to_yaml(config))
    return folder


def write_text(path: Path, text: str) -> None:
    """Write a small file aside and rename it into place, so that no reader ever sees half of it.

    Raises:
        WorkError: the disk refused.
    """
    aside = path.with_name(f".{path.name}.writing")
    try:
        with open(aside, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise WorkError(f"{path}: cannot be written ({error.strerror}); free some space and --resume.") from error


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` as JSON, aside and renamed."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _flat(mapping: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in mapping.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
