"""The gate in front of every export: a graph gives the embeddings of its model, on faces, or nothing is written.

Two rates are looked at: how far the embeddings turned (1 - cosine, the largest over all images), which decides, and
what that does to the errors on pairs of the same faces, which is told. Rounding turns embeddings by less than 1e-8.
Eight bits turn them by some hundredths, and still tell people apart: judge int8 by its EER.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from marginface.drawn import DrawnPeople
from marginface.errors import InputError, WorkError
from marginface.evaluation.embed import Flip, Progress, embed_records
from marginface.evaluation.run import Evaluation, EvaluationConfig, evaluate
from marginface.loading.dataset import FaceDataset
from marginface.loading.loader import sequential_batches
from marginface.models.drift import MAX_DRIFT, cosine_drift
from marginface.models.exporting.export import ExportConfig, check_suffix, export_model, read_back
from marginface.models.exporting.files import XML
from marginface.models.face_model import FaceModel
from marginface.protocols import CsvConfig, GeneratedConfig, LfwConfig
from marginface.records.record import RecordSource
from marginface.records.select import subset

MAX_DRIFT_INT8 = 0.2
"""Seen with a MobileFaceNet on LFW: 0.008 on average and 0.13 at most."""
NUM_CALIBRATION = 256
"""Images, evenly spread over the source; more change the scales little."""
DRAWN_PEOPLE, DRAWN_IMAGES = 24, 3

Pairings = LfwConfig | CsvConfig | GeneratedConfig


@dataclass(frozen=True, kw_only=True)
class Parity:
    """What a graph does differently from the model it was made from."""

    num_images: int
    faces: str
    """Which images."""
    mean_drift: float
    """Of 1 - cosine over the images."""
    max_drift: float
    before: Evaluation | None
    """The model on the pairs; None where the faces make no pairs."""
    after: Evaluation | None
    """The graph on the same pairs."""


def export_checked(
    model: FaceModel,
    path: str | Path,
    config: ExportConfig,
    *,
    check: RecordSource | None = None,
    protocol: Pairings | None = None,
    calibrate: RecordSource | None = None,
    max_drift: float | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Parity:
    """Write `model` as a graph if its embeddings are those of the model; what was at `path` before stays otherwise.

    Args:
        model: on the CPU.
        path: see `export_model`; something there that was exported before is replaced.
        config: what to write.
        check: aligned faces to compare on; drawn people unless given, which is enough for float32.
        protocol: of the pairs whose errors are told; all mated pairs and as many drawn ones unless given.
        calibrate: for int8, aligned faces of people who are not judged on.
        max_drift: the largest 1 - cosine that passes; `MAX_DRIFT`, or `MAX_DRIFT_INT8` for int8, unless given.
        progress: called with (what is done, images done, images in all).

    Raises:
        InputError: int8 without faces to calibrate on, or what `export_model` refuses.
        WorkError: the graph's embeddings are others; nothing was written.
    """
    path = Path(path)
    if config.int8 and calibrate is None:
        raise InputError("int8 needs images to calibrate on; give --calibrate SOURCE.")
    _check_place(path, config)
    bound = max_drift if max_drift is not None else (MAX_DRIFT_INT8 if config.int8 else MAX_DRIFT)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".writing-{path.name}")
    _remove(aside)
    try:
        size = model.contract.input_size
        batches = () if calibrate is None else _calibration_batches(calibrate, size=size)
        seen = _named(progress, "calibrating")
        total = 0 if calibrate is None else min(NUM_CALIBRATION, len(calibrate))
        export_model(model, aside, config, calibration=batches, progress=seen and (lambda done: seen(done, total)))
        parity = measure_parity(model, read_back(aside, config), check, protocol=protocol, progress=progress)
        if not parity.max_drift <= bound:
            raise WorkError(
                f"{path}: not written, for on {parity.num_images:,} {parity.faces} the graph's embeddings are up to "
                f"{parity.max_drift:.3g} (1 - cosine) from the model's, above {bound:g}; see --max-drift."
            )
        if path.is_dir():
            _remove(path)
        os.replace(aside, path)
    finally:
        _remove(aside)
    return parity


def measure_parity(
    model: FaceModel,
    exported: FaceModel,
    check: RecordSource | None = None,
    *,
    protocol: Pairings | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Parity:
    """Return how a graph differs from its model, which runs as it is: unfolded, in torch.

    Args:
        model: what was exported.
        exported: what came out.
        check: aligned faces; drawn people unless given.
        protocol: of the pairs; all mated pairs and as many drawn ones unless given.
        progress: called with (what is done, images done, images in all).
    """
    size = model.contract.input_size
    source = DrawnPeople(DRAWN_PEOPLE, DRAWN_IMAGES, seed=0, size=size) if check is None else check
    reference = FaceModel(model.backbone, model.backbone_config, model.contract, model.card, runtime="eager")
    flip: Flip = "sum" if getattr(exported.backbone_config, "adds_mirror_image", False) else "none"
    chosen = _protocol(source) if protocol is None else protocol
    if chosen is not None:
        pairs = chosen.plan(source)
        images = subset(source, np.union1d(pairs.left, pairs.right))
    else:
        images = source
    tables = [
        embed_records(embedder, images, flip=flip, progress=_named(progress, f"embedding with the {name}"))
        for name, embedder in (("model", reference), ("graph", exported))
    ]
    drift = cosine_drift(*(torch.from_numpy(np.asarray(table.vectors)) for table in tables))
    evaluations: list[Evaluation | None] = [None, None]
    if chosen is not None:
        judged = EvaluationConfig(name="check", data=source.location, protocol=chosen, flip=flip, num_replicates=0)
        evaluations = [
            evaluate(embedder, judged, source=source, plan=pairs, table=table)
            for embedder, table in zip((reference, exported), tables, strict=True)
        ]
    return Parity(
        num_images=len(tables[0]),
        faces="drawn faces" if check is None else f"faces of {source.location}",
        mean_drift=float(drift.mean()),
        max_drift=float(drift.max()),
        before=evaluations[0],
        after=evaluations[1],
    )


def _protocol(source: RecordSource) -> GeneratedConfig | None:
    """Return pairs of both kinds where the source has people with two images, and more than one person."""
    counts = np.bincount(source.labels)
    num_mated = int((counts * (counts - 1) // 2).sum())
    return GeneratedConfig(num_non_mated=num_mated) if num_mated and len(counts) > 1 else None


def _calibration_batches(source: RecordSource, *, size: int) -> list[torch.Tensor]:
    """Return crops evenly spread over a source."""
    if not len(source):
        raise InputError(f"{source.location}: there are no images to calibrate on.")
    chosen = np.unique(np.linspace(0, len(source) - 1, min(NUM_CALIBRATION, len(source))).astype(np.int64))
    dataset = FaceDataset(subset(source, chosen), size=size, augment=None)
    return [batch.images.clone() for batch in sequential_batches(dataset, batch_size=32, num_workers=0)]


def _check_place(path: Path, config: ExportConfig) -> None:
    check_suffix(path, config)
    if path.is_dir() and not (config.to == "openvino" and ((path / XML).is_file() or not any(path.iterdir()))):
        raise InputError(f"{path}: this folder holds other things and will not be overwritten; choose another place.")
    if path.is_file() and config.to == "openvino":
        raise InputError(f"{path}: OpenVINO graphs are a folder, and this is a file; choose another place.")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _named(progress: Callable[[str, int, int], None] | None, name: str) -> Progress | None:
    return None if progress is None else lambda done, total: progress(name, done, total)
