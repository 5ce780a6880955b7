"""`marginface scores FILE`: error rates of comparisons that somebody else made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from marginface.cli.arguments import parse, table


def scores(
    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")],
    non_mated: Path | None = None,
    fmr: tuple[float, ...] = (1e-2, 1e-3, 1e-4),
    replicates: int = 1000,
    seed: int = 0,
) -> None:
    """Print EER, FNMR at FMRs and ten-fold accuracy of scores, with counts and intervals. No model is needed.

    Args:
        file: A table with the columns left,right,score,mated[,identity_left,identity_right][,fold], or four columns
            `claimed real probe score`, or pyeer's mated scores.
        non_mated: pyeer's non-mated scores.
        fmr: False match rates at which the FNMR is given.
        replicates: Resamplings of the people, where the file names them; 0 leaves Wilson's intervals.
        seed: Of the resampling.
    """
    from rich.console import Console

    from marginface.cli.results import cell
    from marginface.evaluation import words
    from marginface.evaluation.record import accuracy_of, eer_of, operating_point
    from marginface.metrics import summarise
    from marginface.protocols.score_files import read_scores

    found = read_scores(file, non_mated=non_mated)
    summary = summarise(
        found.score,
        found.mated,
        identity_left=found.identity_left,
        identity_right=found.identity_right,
        folds=found.fold,
        fmr_targets=fmr,
        num_replicates=replicates,
        seed=seed,
    )
    rows = [("EER", cell(eer_of(summary)), "")]
    if found.fold is not None and (accuracy := accuracy_of(summary)):
        rows.append(("ten-fold accuracy", cell(accuracy), f"{accuracy['correct']:,} of {accuracy['trials']:,}"))
    for point in map(operating_point, summary.fnmr_at_fmr):
        if point["fnmr"] is not None:
            counts = f"{point['fnmr']['errors']:,} of {point['fnmr']['trials']:,}, threshold {point['threshold']:.4g}"
            rows.append((f"FNMR at FMR {words.rate_name(point['target_fmr'])}", cell(point["fnmr"]), counts))
    title = f"{file.name}: {summary.num_mated:,} mated and {summary.num_non_mated:,} non-mated comparisons"
    console = Console()
    console.print(table(rows, ("", "rate", "errors"), title=title, numbers=True))
    for sentence in summary.caveats:
        console.print(sentence, markup=False, highlight=False)


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(scores, words, "scores")
    return 0
