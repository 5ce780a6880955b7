"""`marginface verify a.jpg b.jpg`: the same person, different ones, or no answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from marginface.cli.arguments import parse
from marginface.cli.progress import progress_bars


def verify(
    first: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PHOTO")],
    second: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PHOTO")],
    model: Path | None = None,
    fmr: float = 1e-3,
    faces: Literal["largest", "central"] = "largest",
    min_eye_distance: float = 7.0,
    detector: Path | None = None,
    json: bool = False,
) -> None:
    """Say whether two photographs show one person: same, different or cannot tell, with the score behind it.

    Args:
        first: A photograph.
        second: Another one.
        model: A model or run folder; that of MARGINFACE_MODEL unless given.
        fmr: False match rate of a comparison that the answer may have.
        faces: Which of several faces in a photograph is compared.
        min_eye_distance: With fewer pixels between the eyes of a face nothing can be told.
        detector: A detector's file; YuNet, which is downloaded on first use, unless given.
        json: Print one JSON object instead of sentences.
    """
    from marginface.recognition import open_detector, open_model
    from marginface.recognition.verify import verify as verify_pictures

    with progress_bars() as show:
        finder = open_detector(detector, progress=show)
    told = verify_pictures(
        first,
        second,
        model=open_model(model),
        detector=finder,
        fmr=fmr,
        which=faces,
        min_eye_distance=min_eye_distance,
    )
    if json:
        import json as as_json

        print(as_json.dumps(told.row(), ensure_ascii=False))
        return
    score = "" if told.score is None else f"score {told.score:.3f}"
    print(", ".join(part for part in (told.decision or "", score) if part))
    for note in told.notes:
        print(f"{note}.")


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(verify, words, "verify")
    return 0
