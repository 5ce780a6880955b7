"""`marginface data describe SOURCE`: what a data set holds, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import tyro

from marginface.cli.arguments import parse, table


def describe(source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")], sample: int = 256) -> None:
    """Say what a data set holds: people, images of each, formats, sizes, and images that cannot be decoded.

    Args:
        source: packed:faces, recordio:faces_emore, tar:faces.tar, folder:/data/faces, list:train.txt, or a bare path.
        sample: How many images, drawn at random, to decode; 0 decodes all of them.
    """
    from rich.console import Console

    from marginface.loading.describe import describe as summary_of
    from marginface.records.open import open_records

    opened = open_records(source)
    summary = summary_of(opened, num_sampled=sample or len(opened))
    per = summary.images_per_identity
    rows = [
        ("images", f"{summary.num_images:,}"),
        ("people", f"{summary.num_identities:,}"),
        ("images a person", f"{per['min']:g} to {per['max']:g}, median {per['median']:g}, mean {per['mean']:.1f}"),
        ("people by their images", _bars(summary.histogram)),
        ("people with 2 images or more", f"{summary.num_identities_with_2:,} (can be in a mated comparison)"),
        ("people with 10 images or more", f"{summary.num_identities_with_10:,}"),
        ("size", f"about {summary.estimated_bytes / 1e6:,.1f} MB of images"),
        (f"formats, of {summary.num_sampled:,} decoded", _counted(summary.formats)),
        ("sizes", _counted(summary.sizes)),
        ("with landmarks", f"{summary.num_with_landmarks:,}"),
        ("cannot be used", f"{len(summary.broken):,} of {summary.num_sampled:,} decoded"),
    ]
    console = Console()
    console.print(table(rows, ("what", source)))
    for sentence in summary.broken[:10]:
        console.print(f"cannot be used: {sentence}", markup=False, highlight=False)
    if len(summary.broken) > 10:
        console.print(f"and {len(summary.broken) - 10:,} more.")


def _counted(counts: Mapping[str, int]) -> str:
    shown = [f"{name} ({number:,})" for name, number in list(counts.items())[:4]]
    return ", ".join(shown) + (f" and {len(counts) - 4} more" if len(counts) > 4 else "")


def _bars(histogram: Mapping[str, int]) -> str:
    """Return a line for each bin: its images, its people, and a bar."""
    most, width = max(histogram.values()), max(map(len, histogram))
    rows = [(name, number, "█" * max(1, round(20 * number / most))) for name, number in histogram.items()]
    return "\n".join(f"{name:>{width}}  {number:>9,}  {bar}" for name, number, bar in rows)


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(describe, words, "data describe")
    return 0
