"""Quality on the terminal: where the faces come from, and a table of what each score is worth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from marginface.cli.arguments import RuntimeName, table
from marginface.errors import InputError

if TYPE_CHECKING:
    from marginface.evaluation.quality_run import QualityRun
    from marginface.images.yunet import YuNet
    from marginface.metrics.discard import DiscardCurve
    from marginface.models import FaceModel
    from marginface.records.record import RecordSource

_DRAWN = {"people": int, "images": int, "seed": int, "size": int, "first": int, "difficulty": float, "siblings": float}


def open_faces(spec: str) -> RecordSource:
    """Return what `open_records` takes, or drawn people, who carry the truth about each picture.

    Raises:
        InputError: an option of drawn people that does not exist or is no number, or whatever the source refuses.
    """
    from marginface.records.open import open_records

    if not spec.startswith("drawn:?"):
        return open_records(spec)
    from marginface.drawn import DrawnPeople

    given: dict[str, Any] = {"people": 50, "images": 10, "seed": 0}
    for part in spec.removeprefix("drawn:?").split("&"):
        name, _, value = part.partition("=")
        try:
            given[name] = _DRAWN[name](value)
        except (KeyError, ValueError):
            raise InputError(
                f"{spec}: drawn people take {', '.join(_DRAWN)} with a number each, not {part!r}."
            ) from None
    people, images, first = given.pop("people"), given.pop("images"), given.pop("first", 0)
    return DrawnPeople(people, images, first_person=first, **given)


def models_of(*names: str, runtime: RuntimeName) -> list[FaceModel | None]:
    """Return the model of each folder or run, None where the name is none.

    Raises:
        InputError: a runtime, and no model that it could run.
    """
    from marginface.models import load_model, resolve_model_folder

    if runtime != "auto" and {*names} == {"none"}:
        raise InputError("--runtime says what runs a model; classical measures alone have nothing to run.")
    return [None if name == "none" else load_model(resolve_model_folder(name), runtime=runtime) for name in names]


def detector_of(path: Path | None) -> YuNet | None:
    """Return the detector of a file, or None where none is named."""
    from marginface.images.yunet import YuNet

    return None if path is None else YuNet(path)


def print_quality(run: QualityRun, why_not: Mapping[str, str]) -> None:
    """Print a row a method, the best area first where there are curves, and why other methods are absent."""
    console = Console()
    for worth in run.worth:
        order = sorted(worth.curves, key=lambda name: worth.curves[name][0].area or 0.0)
        first = worth.curves[order[0]][0]
        header = ("score", "area, fixed", "gain", "area, retuned", "gain")[: 1 + 2 * len(worth.curves[order[0]])]
        rows = [(name, *(cell for curve in worth.curves[name] for cell in _cells(curve))) for name in order]
        title = f"{worth.name}: mean {worth.errors} over the first {first.area_limit:.0%} of {first.num_mated:,} "
        title += f"{worth.left_out} left out; {first.random:.2%} at random"
        console.print(table(rows, header, title=title.replace("\u00a0", " "), numbers=True))
    if not run.worth:
        header = ("score", "lowest", "median", "highest", "without a value")
        rows = [_spread(name, values) for name, values in run.scores.items()]
        title = f"{len(run.assessment):,} images of {run.assessment.source}"
        console.print(table(rows, header, title=title, numbers=True))
    for name, why in why_not.items():
        console.print(f"{name} is absent: {why}.", markup=False, highlight=False)
    for sentence in run.assessment.broken[:10]:
        console.print(f"left out: {sentence}", markup=False, highlight=False)


def _cells(curve: DiscardCurve) -> tuple[str, str]:
    if curve.area is None:
        return "-", "-"
    ends = curve.area_interval
    interval = "" if ends is None else f"\n[{100 * ends.low:.2f}, {100 * ends.high:.2f}]"
    return f"{curve.area:.2%}{interval}", "-" if curve.gain is None else f"{curve.gain:.2f}"


def _spread(name: str, values: np.ndarray) -> tuple[str, ...]:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return (name, "-", "-", "-", f"{len(values):,}")
    ends = (finite.min(), float(np.median(finite)), finite.max())
    return (name, *(f"{end:.4g}" for end in ends), f"{len(values) - len(finite):,}")
