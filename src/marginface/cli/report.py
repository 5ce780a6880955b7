"""`marginface report SCORES.csv --out DIR`: a report of scores in files; `marginface report report.json`: once more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from marginface.cli.arguments import command_line, parse
from marginface.errors import InputError


def report(
    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE ...")],
    out: Path | None = None,
    non_mated: Path | None = None,
    name: str = "scores",
    title: str = "",
    images: str = "",
    quality: Path | None = None,
    groups: Path | None = None,
    group_fmr: float = 1e-2,
    fmr: str = "1e-2,1e-3,1e-4",
    replicates: int = 1000,
    seed: int = 0,
) -> None:
    """Write a report of scores that somebody else made, or make a report's page again from its record.

    Of report.json, page, figures and model cards are made again, the same bytes: beside it, or in --out.

    Args:
        files: Scores: a table left,right,score,mated[,identity_left,identity_right][,fold], four columns `claimed real
            probe score`, or pyeer's mated scores; several files are several systems on the same comparisons, the one
            that matters last. Or one report.json.
        out: Folder for the report.
        non_mated: pyeer's non-mated scores, beside one file.
        name: What the report calls the comparisons.
        title: Heading of the report.
        images: Where the compared images are, for pictures of the hardest pairs: folder:faces, tar:faces.tar.
        quality: OFIQ's table of the images: error versus discard by each measure.
        groups: Table identity,group or image,group: error rates for each group too.
        group_fmr: FMR over all comparisons that sets the threshold which groups are judged at.
        fmr: False match rates with commas.
        replicates: Resamplings of the people, where the files name them; 0 leaves Wilson's intervals.
        seed: Of the resampling.
    """
    from marginface.cli.thresholds import rates_of
    from marginface.evaluation.report import regenerate, write_report
    from marginface.evaluation.report_scores import ScoreSettings, judge_scores
    from marginface.records.open import open_records

    if [file.suffix for file in files] == [".json"]:
        print(f"report: {regenerate(files[0], out)}")
        return
    if out is None:
        raise InputError("report: say where it goes, with --out DIR.")
    if non_mated is not None and len(files) > 1:
        raise InputError("--non-mated goes with one file of mated scores.")
    settings = ScoreSettings(
        name=name,
        fmr_targets=rates_of(fmr),
        quality=quality,
        groups=groups,
        group_fmr=group_fmr,
        num_replicates=replicates,
        seed=seed,
    )
    source = [open_records(images)] if images else []
    found = [
        judge_scores(file, settings, system=file.stem, non_mated=non_mated, command=command_line()) for file in files
    ]
    print(f"report: {write_report(out, found, title=title or f'{files[-1].stem}: {name}', sources=source)}")


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(report, words, "report")
    return 0
