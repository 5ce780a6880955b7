"""`marginface fit PHOTOS --out DIR`: a folder of photographs by person becomes a model with thresholds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from marginface.cli.arguments import command_line, parse
from marginface.cli.progress import progress_bars


def fit(
    photographs: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PHOTOS")],
    out: Path,
    model: Path | None = None,
    fmr: str = "1e-2,1e-3",
    recipe: str = "fine_tune",
    epochs: float | None = None,
    tune: bool = True,
    unknown_share: float = 0.3,
    min_eye_distance: float = 20.0,
    detector: Path | None = None,
    replicates: int = 1000,
    seed: int = 0,
    workers: int = 2,
) -> int:
    """Align photographs, leave out what looks wrong, fine-tune the model if that helps, measure thresholds, report.

    Call it again after a break: it goes on where it was.

    Args:
        photographs: PHOTOS/person/photograph, two or more of each person.
        out: Folder for the model, its report and all that lies between.
        model: The model to begin with; that of MARGINFACE_MODEL unless given.
        fmr: False match rates of one comparison to measure thresholds at, with commas.
        recipe: Of the fine-tuning: a YAML file, or a recipe that ships with the package.
        epochs: Of the fine-tuning; the recipe's unless given.
        tune: Try fine-tuning.
        unknown_share: Of the people, held back as strangers.
        min_eye_distance: Leave out faces with fewer pixels between the eyes.
        detector: A detector's file; YuNet, which is downloaded on first use, unless given.
        replicates: Resamplings of the people for the intervals.
        seed: Of splits, training and resampling.
        workers: Processes that decode.
    """
    from marginface.cli.thresholds import rates_of
    from marginface.finetuning.fit import fit as fit_photographs
    from marginface.finetuning.fit_page import headline
    from marginface.finetuning.fit_steps import FitPlan
    from marginface.models import load_model
    from marginface.recognition.defaults import model_folder, open_detector

    plan = FitPlan(
        recipe=recipe,
        overrides=() if epochs is None else (f"--epochs={epochs:g}",),
        tune=tune,
        unknown_share=unknown_share,
        fmr_targets=rates_of(fmr),
        min_eye_distance=min_eye_distance,
        num_replicates=replicates,
        num_workers=workers,
        seed=seed,
    )
    folder = model_folder(model)
    with progress_bars() as show:
        faces = open_detector(detector, progress=show)
    result = fit_photographs(
        photographs,
        out,
        model=load_model(folder),
        model_folder=str(folder),
        detector=faces,
        plan=plan,
        bars=progress_bars,
        command=command_line(),
    )
    if result.record is not None:
        print(headline(result.record))
        for note in (*result.record["notes"], *result.record["refusals"]):
            print(note)
        print(f"model: {result.model}\nreport: {result.page}")
    return result.exit_code


def main(words: list[str]) -> int:
    """Run the verb."""
    return parse(fit, words, "fit")
