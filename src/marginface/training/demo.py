"""The demo: draw people, train on some, judge on others who were never seen, report.

runs/demo/
  data/train.tar  data/test.tar  contact_sheet.png     drawn people; the two sets share nobody
  run/                                                 the run folder of the training
  report.html  report.json  plots/
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from marginface import config as recipes
from marginface.drawn import DrawnPeople, write_contact_sheet, write_tar
from marginface.errors import WorkError
from marginface.evaluation.baselines import RawPixels, untrained
from marginface.evaluation.report import write_report
from marginface.evaluation.run import Evaluation, evaluate_systems
from marginface.models import load_model
from marginface.records.open import open_records
from marginface.training.config import TrainConfig
from marginface.training.run_folder import RunFolder
from marginface.training.train import train

SEED = 2026
TRAIN_PEOPLE, TRAIN_IMAGES = 300, 16
TEST_PEOPLE, TEST_IMAGES = 100, 10
DIFFICULTY = 1.0
SIBLINGS = 0.1

STAND_IN = (
    "The people in this demo do not exist: they are drawn, and stand in for photographs that may not be shipped. The "
    "numbers say that the machinery works, and nothing about real faces. To train on real ones: "
    "marginface train own_folder --data.source folder:my-faces --out runs/mine"
)

Show = Callable[[str, int, int], None]
"""Called with (what is being done, how much is done, how much there is)."""
Bars = Callable[[], AbstractContextManager[Show]]


@dataclass(frozen=True)
class DemoResult:
    """What the demo leaves: the three evaluations, and where the page is."""

    evaluations: list[Evaluation]
    page: Path
    exit_code: int


def run_demo(out: Path, *, bars: Bars, workers: int = 2, command: str = "") -> DemoResult:
    """Run the demo into `out`, going on from what an interrupted one left there.

    Args:
        out: its folder.
        bars: opens a display of progress; training shows its own.
        workers: processes that draw and decode.
        command: what was typed, for the record.

    Raises:
        InputError: `out` holds a run of another version of the demo.
        WorkError: the disk is full, or training failed.
    """
    with bars() as show:
        train_tar, test_tar = draw_sets(out / "data", show=show, workers=workers)
    overrides = [f"--data.source=tar:{train_tar}"]
    mapping = recipes.with_overrides(recipes.read_recipe("demo"), overrides)
    mapping["evaluations"][0]["data"] = f"tar:{test_tar}"
    config = recipes.load(TrainConfig, mapping)
    run = RunFolder(out / "run")
    exit_code = train(config, run.path, resume=run.recipe.exists(), command=command)
    if exit_code:
        return DemoResult([], out / "report.html", exit_code)

    judged = replace(config.evaluations[0], num_replicates=1000)
    trained = load_model(run.model)
    source = open_records(judged.data)
    with bars() as show:
        evaluations = evaluate_systems(
            [
                RawPixels(input_size=config.data.input_size),
                untrained(config.backbone, contract=trained.contract, seed=config.seed),
                trained,
            ],
            judged,
            names=["raw pixels", "untrained network", "trained network"],
            source=source,
            num_workers=workers,
            command=command,
            progress=lambda system, done, total: show(f"embedding: {system}", done, total),
        )
    page = write_report(
        out,
        evaluations,
        title="MarginFace demo: drawn strangers",
        training_log=run.log,
        sources=[source],
        notes=[STAND_IN],
        recipe=run.recipe.read_text(encoding="utf-8"),
    )
    return DemoResult(evaluations, page, 0)


def draw_sets(folder: Path, *, show: Show, workers: int) -> tuple[Path, Path]:
    """Draw the people to train on and the strangers, unless they are there; return the two tars."""
    sets = {
        "train": DrawnPeople(TRAIN_PEOPLE, TRAIN_IMAGES, seed=SEED, difficulty=DIFFICULTY, siblings=SIBLINGS),
        "test": DrawnPeople(
            TEST_PEOPLE, TEST_IMAGES, seed=SEED, difficulty=DIFFICULTY, siblings=SIBLINGS, first_person=TRAIN_PEOPLE
        ),
    }
    paths = {name: folder / f"{name}.tar" for name in sets}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkError(f"{folder}: the folder for drawn people cannot be made ({error.strerror}).") from error
    for name, people in sets.items():
        if not paths[name].exists():  # written aside and renamed: if it is there, it is whole
            write_tar(people, paths[name], workers=workers, progress=_named(show, f"drawing: {name}"))
    if not (folder / "contact_sheet.png").exists():
        write_contact_sheet(sets["test"], folder / "contact_sheet.png")
    return paths["train"], paths["test"]


def _named(show: Show, what: str) -> Callable[[int, int], None]:
    return lambda done, total: show(what, done, total)
