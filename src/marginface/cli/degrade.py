"""`marginface degrade`: a blurred, low-resolution or compressed copy of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from marginface.cli.arguments import parse
from marginface.cli.progress import progress_bars

Kind = Literal["gaussian", "motion", "low_resolution", "jpeg"]


def degrade(
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")],
    out: Path,
    kind: Kind,
    strength: float,
    seed: int = 0,
) -> None:
    """Write a tar of spoilt copies of all images, with the same names, to judge or fine-tune on.

    Args:
        source: Faces, as tar:FILE, folder:FOLDER or list:FILE.
        out: The tar file to write.
        kind: What happens to an image.
        strength: How much of it: gaussian, standard deviation in pixels; motion, length in pixels; low_resolution, the
            side it is shrunk to, in pixels; jpeg, 100 minus the quality.
        seed: Of the directions of motion.
    """
    from marginface.images.degrade import DEGRADATIONS
    from marginface.loading.degraded import write_degraded
    from marginface.records.open import open_records

    records = open_records(source)
    with progress_bars() as show:
        count = write_degraded(
            records,
            out,
            kind=kind,
            strength=strength,
            seed=seed,
            progress=lambda done, total: show("degrading", done, total),
        )
    print(f"wrote {out}: {count:,} images, {kind} {strength:g} ({DEGRADATIONS[kind].meaning})")


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(degrade, words, "degrade")
    return 0
