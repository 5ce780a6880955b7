"""`marginface calibrate MODEL --data SOURCE --fmr 1e-3,1e-4`: measure thresholds and keep them in the model's card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from marginface.cli.arguments import RuntimeName, command_line, parse
from marginface.cli.progress import progress_bars
from marginface.errors import InputError


def calibrate(
    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")],
    data: str,
    protocol: Literal["lfw", "csv", "generated"] = "generated",
    pairs: Path | None = None,
    fmr: str = "1e-3",
    reject_fnmr: float = 0.01,
    extrapolate: bool = False,
    name: str = "",
    non_mated: str = "1000000",
    flip: Literal["sum", "none"] = "sum",
    replicates: int = 500,
    seed: int = 0,
    workers: int = 2,
    runtime: RuntimeName = "auto",
    dry_run: bool = False,
) -> None:
    """Measure the scores that false match rates stand for, and keep them as thresholds in the model's card.

    Args:
        model: A model folder, or a run folder.
        data: Aligned faces of people the model has not seen, like those it will meet: tar:, folder:, list:.
        protocol: lfw and csv read --pairs; generated takes all mated pairs and a sample of the non-mated ones.
        pairs: LFW's pairs.txt, or a table with the columns left,right,mated[,fold].
        fmr: False match rates of one comparison, with commas: 1e-3,1e-4.
        reject_fnmr: Share of true pairs that may be answered "different"; between the two scores: "cannot tell".
        extrapolate: Also save rates that the data cannot support, read from a fitted tail and marked so.
        name: What the card calls the data; the protocol's name unless given.
        non_mated: How many non-mated pairs `generated` draws, or all.
        flip: sum adds the embedding of the mirrored image; a threshold holds for one of the two.
        replicates: Resamplings of the people for the intervals.
        seed: Of generated pairs and resampling.
        workers: Processes that decode.
        runtime: What runs the model on a CPU; auto is what MARGINFACE_RUNTIME says, or chooses by the work.
        dry_run: Print, and leave the card as it is.
    """
    from marginface.cli.protocol_arguments import protocol_of
    from marginface.cli.thresholds import print_thresholds, rates_of
    from marginface.evaluation.calibrate import calibrate as measure
    from marginface.evaluation.settings import EvaluationConfig
    from marginface.models import load_model, resolve_model_folder, save_card

    config = EvaluationConfig(
        name=name or protocol,
        data=data,
        protocol=protocol_of(protocol, pairs, non_mated, seed),
        flip=flip,
        fmr_targets=rates_of(fmr),
        seed=seed,
    )
    folder = resolve_model_folder(model)
    loaded = load_model(folder, runtime=runtime)
    with progress_bars() as show:
        found = measure(
            loaded,
            config,
            reject_fnmr=reject_fnmr,
            extrapolate=extrapolate,
            num_replicates=replicates,
            num_workers=workers,
            command=command_line(),
            progress=lambda done, total: show("embedding", done, total),
        )
    print_thresholds(found, title=config.name)
    if not found.thresholds:
        raise InputError("no threshold was saved; take a higher --fmr, more people, or --extrapolate.")
    below = found.thresholds[0].reject_below
    if below is not None:
        print(f"different below {below:.4f}: at most {reject_fnmr:g} of the mated comparisons lie there")
    if not dry_run:
        save_card(folder, loaded.card.with_thresholds(found.thresholds))
        print(f"saved in {folder}: {len(found.thresholds)} of {len(found.estimates)} thresholds")


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(calibrate, words, "calibrate")
    return 0
