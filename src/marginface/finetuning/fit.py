"""A folder of photographs by person becomes a model to use: align, clean, fine-tune if it helps, calibrate, report.

runs/ours/
  faces.tar             aligned faces, with faces.tar.faces.csv and faces.tar.rejects.csv
  visit/                what the data doctor found, with pictures
  use.txt               keys of the images that were used
  tuning/               the fine-tuning and its table, where one was tried
  model/                the model to use, thresholds in its card
  fit.json, report.html what was done and why
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from marginface import config as recipes
from marginface.finetuning.finetune import FinetunePlan, finetune, recipe_for
from marginface.images.detect import Detector
from marginface.models import FaceModel, Threshold, load_model, save_card, save_model
from marginface.records.open import open_records
from marginface.records.record import RecordSource
from marginface.training.run_folder import write_json, write_text

from .fit_page import fit_page
from .fit_steps import FitPlan, aligned, calibrated, cleaned, usable

FEWEST_PEOPLE = 5
"""To fine-tune and judge it: known people and strangers apart."""
Bars = Callable[[], AbstractContextManager[Callable[[str, int, int], None]]]


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """What `fit` leaves."""

    exit_code: int
    model: Path | None = None
    page: Path | None = None
    record: Mapping[str, Any] | None = None


def fit(
    photographs: Path,
    out: Path,
    *,
    model: FaceModel,
    model_folder: str,
    detector: Detector,
    plan: FitPlan | None = None,
    bars: Bars,
    command: str = "",
) -> FitResult:
    """Turn photographs into a model to use; a stopped call goes on where it was.

    The model is replaced by a fine-tuned one only where that names the held-back images better beyond chance: a paired
    gain of macro F1, on clean or on degraded images, whose 95 % interval lies above 0, and none that lies below.

    Args:
        photographs: DIR/person/photograph.
        out: the folder to write.
        model: to begin with.
        model_folder: where it was loaded from.
        detector: finds the faces.
        plan: what to do.
        bars: opens a display of progress.
        command: what was typed, for the record.

    Raises:
        InputError: nothing to work with: no photographs, no faces, nobody with two images.
        WorkError: the disk refused, or training failed.
    """
    plan = plan or FitPlan()
    source = f"tar:{out / 'faces.tar'}"
    with bars() as show:
        alignment = aligned(photographs, out, detector, plan, show)
        found, notes = cleaned(source, model, out, plan, command, show)
    use = usable(open_records(source), found.get("excluded_keys", ()), out / "use.txt")
    used = f"{source}?only={out / 'use.txt'}"
    chosen, tuning = model, None
    if plan.tune and len(use.identities) < FEWEST_PEOPLE:
        notes.append(
            f"Not fine-tuned: {len(use.identities)} people have two usable images or more; {FEWEST_PEOPLE} are needed "
            "to judge whether it helps."
        )
    elif plan.tune:
        result = finetune(
            recipe_for(model, model_folder, _recipe(plan, len(use)), source=used),
            FinetunePlan(
                test_share=plan.test_share,
                unknown_share=plan.unknown_share,
                flip=plan.flip,
                num_replicates=plan.num_replicates,
                seed=plan.seed,
            ),
            out / "tuning",
            bars=bars,
            resume=(out / "tuning" / "split").exists(),
            command=command,
        )
        if result.exit_code:
            return FitResult(exit_code=result.exit_code)
        assert result.record is not None
        helped, why = helps(result.record["gains"])
        notes.append(why)
        tuning = {"helped": helped, "table": result.table, "gains": result.record["gains"]}
        chosen = load_model(out / "tuning" / "run" / "model") if helped else model
    with bars() as show:
        calibration, on = calibrated(chosen, used, out, plan, tuned=chosen is not model, command=command, show=show)
    refusals = list(calibration.refusals) if calibration else [on]
    thresholds = calibration.thresholds if calibration else ()
    save_model(chosen, out / "model")
    save_card(out / "model", chosen.card.with_thresholds(thresholds))
    record = _record(
        photographs=str(photographs),
        alignment=alignment,
        found=found,
        use=use,
        tuning=tuning,
        model=chosen,
        thresholds=thresholds,
        thresholds_on=on,
        notes=notes,
        refusals=refusals,
        command=command,
        tuned=chosen is not model,
    )
    write_json(out / "fit.json", record)
    write_text(out / "report.html", fit_page(record, folder=out))
    return FitResult(exit_code=0, model=out / "model", page=out / "report.html", record=record)


def helps(gains: Sequence[Mapping[str, Any]]) -> tuple[bool, str]:
    """Return whether fine-tuning helped, and a sentence that says why.

    Args:
        gains: after minus before of `finetune`'s record; those answered by the nearest template count, for that is how
            the model is used.
    """
    counted = [(gain["condition"], gain["macro"]) for gain in gains if gain["by"] == "template"]
    better = [condition for condition, macro in counted if macro["low"] is not None and macro["low"] > 0]
    worse = [condition for condition, macro in counted if macro["high"] is not None and macro["high"] < 0]
    if better and not worse:
        return True, f"Fine-tuned: it names held-back {' and '.join(better)} images better, beyond chance."
    if worse:
        return False, f"Fine-tuning was tried and dropped: it names held-back {' and '.join(worse)} images worse."
    return False, "Fine-tuning was tried and dropped: it does not name held-back images better beyond chance."


def _recipe(plan: FitPlan, num_images: int) -> dict[str, Any]:
    """Return the fine-tuning's recipe, with batches that a small folder can fill: a quarter of its images at most."""
    settings = [f"--seed={plan.seed}", f"--data.num_workers={plan.num_workers}", *plan.overrides]
    recipe = recipes.with_overrides(recipes.read_recipe(plan.recipe), settings)
    data = recipe.get("data", {})
    most = max(2, num_images // 4)  # about half of the images are trained on
    return {**recipe, "data": {**data, "batch_size": min(int(data.get("batch_size", most)), most)}}


def _record(
    *,
    photographs: str,
    alignment: Mapping[str, Any],
    found: Mapping[str, Any],
    use: RecordSource,
    tuning: Mapping[str, Any] | None,
    model: FaceModel,
    thresholds: Sequence[Threshold],
    thresholds_on: str,
    notes: Sequence[str],
    refusals: Sequence[str],
    command: str,
    tuned: bool,
) -> dict[str, Any]:
    return {
        "format": "marginface.fit/1",
        "marginface_version": importlib.metadata.version("marginface"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "photographs": photographs,
        "alignment": alignment,
        "findings": found.get("findings"),
        "excluded": len(found.get("excluded_keys", ())),
        "used": {"images": len(use), "people": len(use.identities)},
        "tuning": tuning,
        "model": {"name": model.name, "fingerprint": model.fingerprint, "tuned": tuned},
        "thresholds": [recipes.dump(one) for one in thresholds],
        "thresholds_on": thresholds_on,
        "notes": list(notes),
        "refusals": list(refusals),
    }
