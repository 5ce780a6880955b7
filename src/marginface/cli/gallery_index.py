"""`marginface gallery index TEAM.db --kind hnsw`: what approximate search would cost and miss here."""

from __future__ import annotations

from typing import Literal

from marginface.cli.arguments import parse
from marginface.cli.gallery_faces import GalleryArgument


def index(
    gallery: GalleryArgument, kind: Literal["hnsw", "ivf"] = "hnsw", fmr: float = 1e-4, threshold: float | None = None
) -> None:
    """Build an approximate index and measure how many people it finds whose score is just the threshold.

    On a PostgreSQL server the index stays. For a file it is built in memory, for as long as a program has the gallery
    open: this says whether that is worth it. Exact search is the default everywhere.

    Args:
        gallery: As it was created.
        kind: hnsw, a graph (slow to build, finds most); ivf, cells (quick to build).
        fmr: False match rate of the threshold.
        threshold: The cosine itself, for models whose card has none.
    """
    import time

    from marginface.search.approximate import INDEXES
    from marginface.search.gallery import Gallery

    with Gallery(gallery) as opened:
        started = time.monotonic()
        recall = opened.build_index(INDEXES[kind](), fmr=fmr, threshold=threshold)
        seconds = time.monotonic() - started
    low, high = recall.interval.low, recall.interval.high
    print(f"{gallery}: {kind} built and measured in {seconds:.1f} s")
    print(
        f"recall {recall.value:.4f} [{low:.4f}, {high:.4f}], {recall.num_found} of {recall.num_queries} faces with "
        f"score {recall.score:.3f}: FNIR becomes 1 - (1 - FNIR) x {recall.value:.4f}"
    )


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(index, words, "gallery index")
    return 0
