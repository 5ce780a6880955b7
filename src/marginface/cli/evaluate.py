"""`marginface evaluate MODEL --protocol lfw --data SOURCE`: judge a model on pairs of faces."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from marginface.cli.arguments import command_line, parse
from marginface.cli.progress import progress_bars
from marginface.errors import InputError

if TYPE_CHECKING:
    from marginface.protocols import ProtocolConfig


def evaluate(
    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")],
    data: str,
    protocol: Literal["lfw", "csv", "generated"] = "generated",
    pairs: Path | None = None,
    name: str = "",
    non_mated: str = "100000",
    flip: Literal["sum", "none"] = "sum",
    replicates: int = 1000,
    seed: int = 0,
    workers: int = 2,
    skip_broken: bool = False,
    baseline: bool = False,
    out: Path | None = None,
) -> None:
    """Judge a model on pairs of faces: EER, ten-fold accuracy, FNMR at FMRs, with counts and intervals.

    Args:
        model: A run folder (its last weights), a model folder (such as RUN/best), or raw-pixels.
        data: Aligned faces of people who were not in training: tar:lfw.tar, folder:faces, list:faces.txt.
        protocol: lfw and csv read --pairs; generated takes all mated pairs and a sample of the non-mated ones.
        pairs: LFW's pairs.txt, or a table with the columns left,right,mated[,fold].
        name: What the report calls the evaluation; the protocol's name unless given.
        non_mated: How many non-mated pairs `generated` draws, or all.
        flip: sum adds the embedding of the mirrored image, as published tables do.
        replicates: Resamplings of the people for the intervals; 0 leaves Wilson's alone.
        seed: Of generated pairs and resampling.
        workers: Processes that decode.
        skip_broken: Leave out images that cannot be decoded, and count them, rather than stop.
        baseline: Also judge raw pixels on the same pairs.
        out: Folder for report.html, report.json and plots; without it only the table is printed.
    """
    from marginface.cli.results import print_results
    from marginface.distributed import default_device, joined_ranks
    from marginface.evaluation.baselines import RawPixels
    from marginface.evaluation.run import EvaluationConfig, evaluate_systems
    from marginface.models import load_model, resolve_model_folder
    from marginface.records.open import open_records

    config = EvaluationConfig(
        name=name or protocol,
        data=data,
        protocol=protocol_of(protocol, pairs, non_mated, seed),
        flip=flip,
        num_replicates=replicates,
        seed=seed,
        skip_broken=skip_broken,
    )
    learned = [] if model == "raw-pixels" else [load_model(resolve_model_folder(model))]
    size = learned[0].contract.input_size if learned else 112
    raw = [RawPixels(input_size=size)] if baseline or not learned else []
    source = open_records(data)
    with joined_ranks(default_device()) as ranks, progress_bars() if ranks.is_first else nullcontext() as show:
        evaluations = evaluate_systems(
            [*raw, *(one.to(ranks.device) for one in learned)],
            config,
            source=source,
            num_workers=workers,
            command=command_line(),
            progress=show and (lambda system, done, total: show(f"embedding with {system}", done, total)),
            ranks=ranks,
        )
    if not evaluations:  # the first of several ranks has them, and speaks for all
        return
    print_results(evaluations)
    if out is not None:
        from marginface.evaluation.report import write_report

        log = Path(model) / "log.jsonl"
        recipe = Path(model) / "recipe.yaml"
        page = write_report(
            out,
            evaluations,
            title=f"{Path(model).name} on {config.name}",
            training_log=log if log.is_file() else None,
            sources=[source],
            recipe=recipe.read_text(encoding="utf-8") if recipe.is_file() else None,
        )
        print(f"report: {page}")


def protocol_of(kind: str, pairs: Path | None, non_mated: str, seed: int) -> ProtocolConfig:
    """Return the protocol that the flags of a verb mean."""
    from marginface import config as recipes
    from marginface.protocols import PROTOCOLS

    if kind == "generated":
        number = non_mated if non_mated == "all" or not non_mated.isdigit() else int(non_mated)
        return recipes.load(PROTOCOLS[kind], {"num_non_mated": number, "seed": seed}, path="--non-mated")
    if pairs is None:
        raise InputError(f"--protocol {kind} reads a list of pairs; say where it is with --pairs FILE.")
    return recipes.load(PROTOCOLS[kind], {"pairs_file": str(pairs)}, path="--pairs")


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(evaluate, words, "evaluate")
    return 0
