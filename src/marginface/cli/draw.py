"""`marginface draw`: people who do not exist, as a tar of aligned faces."""

from __future__ import annotations

from pathlib import Path

from marginface.cli.arguments import parse
from marginface.cli.progress import progress_bars


def draw(
    out: Path,
    people: int = 100,
    images: int = 20,
    seed: int = 0,
    difficulty: float = 1.0,
    siblings: float = 0.0,
    size: int = 112,
    workers: int = 2,
    contact_sheet: Path | None = None,
) -> None:
    """Draw people who do not exist into a tar of aligned faces (identity/image.jpg).

    Args:
        out: The tar file to write.
        people: How many people.
        images: Pictures of each.
        seed: Of everything: the same seed draws the same bytes.
        difficulty: Strength of pose, light, blur and so on; 0 draws clean portraits, 1 is the default.
        siblings: Share of people who are drawn as a sibling of another, 0 to 1.
        size: Pixels a side.
        workers: Processes that draw.
        contact_sheet: Also write a PNG of people x nuisance, to look at.
    """
    from marginface.drawn import DrawnPeople, write_contact_sheet, write_tar

    drawn = DrawnPeople(people, images, seed=seed, difficulty=difficulty, size=size, siblings=siblings)
    if contact_sheet is not None:
        write_contact_sheet(drawn, contact_sheet)
        print(f"wrote {contact_sheet}")
    with progress_bars() as show:
        write_tar(drawn, out, workers=workers, progress=lambda done, total: show("drawing", done, total))
    print(f"wrote {out}: {len(drawn)} images of {people} people who do not exist")


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(draw, words, "draw")
    return 0
