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
    from marginface.evaluation.report_scores import ScoreSettings, judge_scores

    settings = ScoreSettings(fmr_targets=fmr, num_replicates=replicates, seed=seed)
    found = judge_scores(file, settings, system=file.stem, non_mated=non_mated).to_json()
    rows = [("EER", cell(found["eer"]), "")]
    if accuracy := found["accuracy"]:
        rows.append(
            (
                f"accuracy, {accuracy['folds']} folds",
                cell(accuracy),
                f"{accuracy['correct']:,} of {accuracy['trials']:,}",
            )
        )
    for point in found["operating_points"]:
        if point["fnmr"] is not None:
            counts = f"{point['fnmr']['errors']:,} of {point['fnmr']['trials']:,}, threshold {point['threshold']:.4g}"
            rows.append((f"FNMR at FMR {words.rate_name(point['target_fmr'])}", cell(point["fnmr"]), counts))
    counted = found["counts"]
    title = f"{file.name}: {counted['mated']:,} mated and {counted['non_mated']:,} non-mated comparisons"
    console = Console()
    console.print(table(rows, ("", "rate", "errors"), title=title, numbers=True))
    for sentence in found["caveats"]:
        console.print(sentence, markup=False, highlight=False)


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(scores, words, "scores")
    return 0
