"""What `fit` does step by step: align, clean, choose images, measure thresholds; each leaves a file to go on from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marginface.errors import InputError
from marginface.evaluation.calibrate import Calibration, calibrate
from marginface.evaluation.doctor import visit
from marginface.evaluation.embed import Flip
from marginface.evaluation.settings import EvaluationConfig
from marginface.images.detect import Detector
from marginface.models import FaceModel
from marginface.protocols import GeneratedConfig
from marginface.recognition.align_folder import align_folder
from marginface.records.open import open_records
from marginface.records.record import RecordSource
from marginface.training.run_folder import write_json, write_text

Show = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class FitPlan:
    """What to do with the photographs."""

    recipe: str = "fine_tune"
    """Of the fine-tuning: a file, or the name of one that ships with the package."""
    overrides: tuple[str, ...] = ()
    """Settings of the recipe, as `--epochs=4`."""
    tune: bool = True
    """Try fine-tuning; the model stays as it is otherwise."""
    test_share: float = 0.3
    """Of each known person's images, held back to judge fine-tuning by."""
    unknown_share: float = 0.3
    """Of the people, held back as strangers; thresholds of a fine-tuned model are measured on them."""
    fmr_targets: tuple[float, ...] = (1e-2, 1e-3)
    reject_fnmr: float = 0.01
    """Share of true pairs that may be answered "different"."""
    min_eye_distance: float = 20.0
    """Faces with fewer pixels between the eyes are left out."""
    flip: Flip = "sum"
    num_replicates: int = 1000
    num_workers: int = 2
    seed: int = 0


def aligned(photographs: Path, out: Path, detector: Detector, plan: FitPlan, show: Show) -> dict[str, Any]:
    """Return what alignment counted, from now or from an earlier call."""
    kept = out / "alignment.json"
    if kept.exists():
        return _read(kept)
    (out / "faces.tar").unlink(missing_ok=True)  # of a call that ended before it was counted
    found = align_folder(
        photographs,
        f"tar:{out / 'faces.tar'}",
        detector=detector,
        min_eye_distance=plan.min_eye_distance,
        workers=plan.num_workers,
        progress=lambda done, total: show("photographs", done, total),
    )
    record = {
        "photographs": found.num_photographs,
        "faces": found.num_faces,
        "people": found.num_identities,
        "rejected": dict(found.rejected),
        "photographs_without": found.photographs_without,
    }
    write_json(kept, record)
    return record


def cleaned(
    source: str,
    model: FaceModel,
    out: Path,
    plan: FitPlan,
    command: str,
    show: Show,
) -> tuple[dict[str, Any], list[str]]:
    """Return what the data doctor counted, and a note where it could say nothing."""
    kept = out / "visit" / "doctor.json"
    if not kept.exists():
        try:
            visit(open_records(source), model, out / "visit", num_workers=plan.num_workers, command=command, show=show)
        except InputError as error:
            return {}, [f"Not examined: {error}"]
    excluded = (out / "visit" / "exclude.txt").read_text(encoding="utf-8").splitlines()
    return {**_read(kept), "excluded_keys": excluded}, []


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def usable(source: RecordSource, excluded: Sequence[str], listing: Path) -> RecordSource:
    """Write the keys of the images that are left, of people with two or more, and return them."""
    out = set(excluded)
    left = [i for i, key in enumerate(source.keys) if key not in out]
    images = Counter(int(source.labels[i]) for i in left)
    keys = [source.keys[i] for i in left if images[int(source.labels[i])] > 1]
    if not keys:
        raise InputError(f"{source.location}: nobody has two usable photographs; give at least two of each person.")
    write_text(listing, "".join(f"{key}\n" for key in keys))
    return open_records(f"{source.location}?only={listing}")


def calibrated(
    model: FaceModel,
    used: str,
    out: Path,
    plan: FitPlan,
    *,
    tuned: bool,
    command: str,
    show: Show,
) -> tuple[Calibration | None, str]:
    """Return thresholds on people whom the model has not seen, and who they are; or None, and why there are none."""
    data, who = used, "all people of the folder, none of whom was trained on here"
    if tuned:
        split = out / "tuning" / "split"
        keys = [(split / f"{name}.txt").read_text(encoding="utf-8") for name in ("calibration", "unknown")]
        write_text(out / "strangers.txt", "".join(keys))
        data = f"tar:{out / 'faces.tar'}?only={out / 'strangers.txt'}"
        who = "the people who were held back from fine-tuning"
    config = EvaluationConfig(
        name="own people",
        data=data,
        protocol=GeneratedConfig(num_non_mated=1_000_000, seed=plan.seed),
        flip=plan.flip,
        fmr_targets=plan.fmr_targets,
        num_replicates=0,
        seed=plan.seed,
    )
    try:
        found = calibrate(
            model,
            config,
            reject_fnmr=plan.reject_fnmr,
            num_workers=plan.num_workers,
            command=command,
            progress=lambda done, total: show("measuring thresholds", done, total),
        )
    except InputError as error:
        return None, f"No threshold: {error}"
    return found, who
