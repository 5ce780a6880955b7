"""`marginface find ./known ./unknown`: who is on the photographs, a line for each face."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from marginface.cli.arguments import parse
from marginface.cli.progress import progress_bars


def find(
    known: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="KNOWN")],
    unknown: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PHOTOS")],
    model: Path | None = None,
    fmr: float = 1e-3,
    faces: Literal["all", "largest", "central"] = "all",
    known_face: Literal["largest", "central"] = "largest",
    quality: str = "norm",
    min_quality: float | None = None,
    min_eye_distance: float = 7.0,
    detector: Path | None = None,
    workers: int = 2,
    out: Path | None = None,
) -> None:
    """Say who is on photographs: file, box, name or unknown, score and quality of each face, separated by tabs.

    Args:
        known: Folder of people: known/Ada.jpg or known/Ada/any.jpg.
        unknown: A photograph, or a folder of them and of further folders.
        model: A model or run folder; that of MARGINFACE_MODEL unless given.
        fmr: False match rate of one comparison; with N people known a stranger is named up to N times as often.
        faces: Which of several faces in a photograph are looked at.
        known_face: Which of several faces in a known photograph is the person.
        quality: The method that scores each face: norm, sharpness, contrast, pose and others; see docs/quality.md.
        min_quality: Faces below it are answered with: cannot tell.
        min_eye_distance: So are faces with fewer pixels between the eyes.
        detector: A detector's file; YuNet, which is downloaded on first use, unless given.
        workers: Threads that decode and detect.
        out: Write all columns to FILE.csv or FILE.json instead.
    """
    import sys

    from marginface.recognition import open_detector, open_model
    from marginface.recognition.find import COLUMNS
    from marginface.recognition.find import find as find_people
    from marginface.recognition.rows import check_suffix, write_rows

    if out is not None:
        check_suffix(out)
    with progress_bars() as show:
        told = find_people(
            known,
            unknown,
            model=open_model(model),
            detector=open_detector(detector, progress=show),
            fmr=fmr,
            which=faces,
            known_face=known_face,
            quality=quality,
            min_quality=min_quality,
            min_eye_distance=min_eye_distance,
            workers=workers,
            progress=show,
        )
    if out is not None:
        write_rows(out, [finding.row() for finding in told.findings], columns=COLUMNS)
        print(f"wrote {out}: {len(told.findings)} lines")
    else:
        for finding in told.findings:
            print("\t".join(finding.words()))
    for note in (*told.notes(), ", ".join(f"{count} {answer}" for answer, count in sorted(told.counts.items()))):
        print(f"{note}.", file=sys.stderr)


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(find, words, "find")
    return 0
