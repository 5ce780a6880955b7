"""Which sets the flags of `evaluate` mean: one by its flags, or those of a file."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marginface.cli.protocol_arguments import protocol_of
from marginface.errors import InputError

if TYPE_CHECKING:
    from marginface.evaluation.suite import SuiteConfig

OF_ONE_SET = (
    *("data", "protocol", "pairs", "name", "non_mated", "flip", "groups", "group_fmr"),
    *("magface_ten_fold", "quality", "template_quality", "replicates", "seed", "skip_broken"),
)
"""Flags that say nothing beside a file, which says it for each set."""


def suite_of(given: Mapping[str, Any], settings: Sequence[str]) -> SuiteConfig:
    """Return the sets that are meant.

    Args:
        given: the arguments of `evaluate`, by name.
        settings: of a protocol, as they are typed.

    Raises:
        InputError: neither data nor a file, both, no model, or settings that do not fit.
    """
    from marginface.evaluation.settings import EvaluationConfig
    from marginface.evaluation.suite import SuiteConfig

    if not given["models"]:
        raise InputError("evaluate: name a MODEL: a model folder, a run, saved embeddings, or raw-pixels.")
    if given["config"] is not None:
        return _from_file(given["config"], given, settings)
    if not given["data"]:
        raise InputError("evaluate: say what to judge on, with --data SOURCE or --config FILE.")
    config = EvaluationConfig(
        name=given["name"] or given["protocol"],
        data=given["data"],
        protocol=protocol_of(given["protocol"], given["pairs"], given["non_mated"], given["seed"], settings),
        flip=given["flip"],
        template_quality=given["template_quality"],
        groups=given["groups"],
        group_fmr=given["group_fmr"],
        magface_ten_fold=given["magface_ten_fold"],
        num_replicates=given["replicates"],
        seed=given["seed"],
        skip_broken=given["skip_broken"],
    )
    try:
        return SuiteConfig(evaluations=(config,), quality=tuple(filter(None, given["quality"].split(","))))
    except ValueError as error:
        raise InputError(f"--{error}") from error


def _from_file(path: Path, given: Mapping[str, Any], settings: Sequence[str]) -> SuiteConfig:
    from marginface import config as recipes
    from marginface.cli.evaluate import verb
    from marginface.evaluation.suite import SuiteConfig

    defaults = {name: one.default for name, one in inspect.signature(verb([])).parameters.items()}
    beside = [name for name in OF_ONE_SET if given[name] != defaults[name]]
    if beside or settings:
        flag = f"--{beside[0].replace('_', '-')}" if beside else settings[0]
        raise InputError(f"{flag} is of one set, and --config names several; write it in {path} where it belongs.")
    return recipes.load(SuiteConfig, recipes.read_recipe(path), path=path.name)
