"""Which protocols the `--edc` of `quality` means, and the faces that all of them speak of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marginface.cli.protocol_arguments import protocol_of
from marginface.cli.quality_table import open_faces
from marginface.errors import InputError

if TYPE_CHECKING:
    from marginface.evaluation.settings import EvaluationConfig
    from marginface.records.record import RecordSource


def edc_sets(
    edc: Sequence[str], source: str, given: Mapping[str, Any], settings: Sequence[str]
) -> list[EvaluationConfig]:
    """Return what each `--edc` stands for.

    Args:
        edc: kinds of protocols, and YAML files with a list `evaluations`.
        source: as it is typed; files must name the same data.
        given: the verb's arguments by name.
        settings: of the protocol, as they are typed; for one kind only.

    Raises:
        InputError: a kind or file that does not exist, settings for several kinds, other data, or a name that recurs.
    """
    from marginface import config as recipes
    from marginface.evaluation.settings import EvaluationConfig
    from marginface.evaluation.suite import SuiteConfig

    kinds = [word for word in edc if not word.endswith((".yaml", ".yml"))]
    if settings and len(kinds) != 1:
        raise InputError(f"{settings[0]} goes with one --edc KIND; of several, write a YAML file (docs/quality.md).")
    if given["pairs"] is not None and not {"lfw", "csv"} & set(kinds):
        raise InputError("--pairs is read by --edc lfw and --edc csv, and neither is given.")
    found: list[EvaluationConfig] = []
    for word in edc:
        if word in kinds:
            config = EvaluationConfig(
                name=word,
                data=source,
                protocol=protocol_of(word, given["pairs"], given["non_mated"], given["seed"], settings),
                flip=given["flip"],
                fmr_targets=(given["fmr"],),
                fpir_targets=(given["fpir"],),
                template_quality=given["template_quality"],
                seed=given["seed"],
                skip_broken=given["skip_broken"],
            )
            found.append(config)
            continue
        suite = recipes.load(SuiteConfig, recipes.read_recipe(Path(word)), path=Path(word).name)
        for one in suite.evaluations:
            if one.data != source:
                raise InputError(f"{word}: {one.name} is on {one.data}, and SOURCE is {source}; they must be the same.")
            found.append(replace(one, skip_broken=given["skip_broken"]))
    names = [one.name for one in found]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"--edc names {twice[0]!r} twice; give each once, or other names in a YAML file.")
    return found


def faces_of(source: str, sets: Sequence[EvaluationConfig]) -> RecordSource:
    """Return the faces of SOURCE as the protocols open them: some align them, some open packs.

    Raises:
        InputError: protocols that would not see the same images.
    """
    from marginface.protocols.settings import ProtocolSettings

    opened = [
        open_faces(source) if type(one.protocol).open is ProtocolSettings.open else one.protocol.open(source)
        for one in sets
    ] or [open_faces(source)]
    for one, config in zip(opened, sets, strict=False):
        if (type(one), one.location, len(one)) != (type(opened[0]), opened[0].location, len(opened[0])):
            raise InputError(
                f"--edc: {sets[0].name} and {config.name} do not open {source} alike; give them runs of their own."
            )
    return opened[0]
