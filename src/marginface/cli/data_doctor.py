"""`marginface data doctor SOURCE --model MODEL --out DIR`: copies, wrong names, mixed people, people of another set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from marginface.cli.arguments import command_line, parse, table
from marginface.cli.progress import progress_bars


def doctor(
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")],
    model: str,
    out: Path,
    against: str = "",
    exclude: tuple[str, ...] = (),
    stranger_rate: float = 1e-3,
    typical_rate: float = 0.05,
    least_alike: float = 0.98,
    seed: int = 0,
    workers: int = 2,
    pictures: bool = True,
) -> None:
    """Look for what is wrong with a data set, and write a page, a table and a list of images to leave out.

    Args:
        source: Aligned faces with names: tar:faces.tar, folder:/data/faces.
        model: A model that was not trained on these names: a model or run folder.
        out: Folder for report.html, findings.csv, exclude.txt and doctor.json.
        against: A set that should share nobody with it, such as the one to judge on.
        exclude: Kinds of findings that go into exclude.txt; by default all but near copies and doubled names.
        stranger_rate: Share of comparisons of strangers that may pass for one person.
        typical_rate: Share of right images that may fall below what counts as typical.
        least_alike: Correlation of tiny grey pictures from which two images are copies.
        seed: Of the comparisons that are drawn.
        workers: Processes that decode.
        pictures: Put small pictures of the faces on the page.
    """
    from rich.console import Console

    from marginface.curation.doctor import DoctorConfig
    from marginface.curation.findings import EXCLUDED, KINDS
    from marginface.evaluation.doctor import visit
    from marginface.models import load_model, resolve_model_folder
    from marginface.records.open import open_records

    config = DoctorConfig(stranger_rate=stranger_rate, typical_rate=typical_rate, least_alike=least_alike, seed=seed)
    with progress_bars() as show:
        found = visit(
            open_records(source),
            load_model(resolve_model_folder(model)),
            out,
            config=config,
            against=open_records(against) if against else None,
            exclude=exclude or EXCLUDED,
            num_workers=workers,
            num_threads=max(workers, 1),
            pictures=pictures,
            command=command_line(),
            show=show,
        )
    console = Console()
    rows = [(kind, f"{found.diagnosis.counts[kind]:,}", meaning) for kind, meaning in KINDS.items()]
    console.print(table(rows, ("found", "images", "what it is")))
    console.print(f"{len(found.excluded):,} images to leave out: {out / 'exclude.txt'}", highlight=False)
    console.print(f"report: {found.page}", highlight=False)


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(doctor, words, "data doctor")
    return 0
