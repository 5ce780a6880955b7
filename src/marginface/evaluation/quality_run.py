"""Quality of a source, and what it is worth: scores, error versus discard curves, correlation with known truth."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.images.detect import Detector
from marginface.metrics.discard import DiscardCurve, Rule, area_difference, error_versus_discard, pair_quality
from marginface.metrics.intervals import Interval
from marginface.models import FaceModel
from marginface.protocols import Comparisons, Pairs
from marginface.quality import QUALITY, Assessment, assess, read_ofiq, write_ofiq
from marginface.records.embedding_table import EmbeddingTable
from marginface.records.record import RecordSource

from .quality_truth import Correlation, nuisance_correlations
from .run import evaluate
from .settings import EvaluationConfig

Scores = Mapping[str, npt.NDArray[np.float64]]
Show = Callable[[str, int, int], None]
"""Called with (what is being done, images done, images in all)."""

CSV, RECORD, TABLE = "quality.csv", "quality.json", "table"


@dataclass(frozen=True, eq=False)
class QualityRun:
    """Everything that `write` puts into a folder."""

    assessment: Assessment
    scores: Scores
    """(N,) by method: the assessment's, and those read from a file."""
    curves: Mapping[str, tuple[DiscardCurve, DiscardCurve]]
    """By method: with the threshold fixed and with it retuned; empty without a protocol."""
    recogniser: str
    """Whose comparisons the curves count; empty without a protocol."""
    protocol: str
    correlations: Mapping[str, Mapping[str, Correlation]]
    """By method and nuisance, where the people are drawn."""


def run_quality(
    source: RecordSource,
    methods: Sequence[str],
    *,
    model: FaceModel | None = None,
    detector: Detector | None = None,
    ofiq: Path | None = None,
    comparisons: EvaluationConfig | None = None,
    recogniser: FaceModel | None = None,
    area_limit: float = 0.2,
    num_replicates: int = 200,
    num_workers: int = 0,
    skip_broken: bool = False,
    show: Show | None = None,
) -> QualityRun:
    """Return the quality of all images of a source and, with `comparisons`, what each score is worth on them.

    Args:
        source: aligned face crops.
        methods: keys of `QUALITY`.
        model: whose embeddings the methods ask.
        detector: for landmarks that the records do not carry.
        ofiq: a file of scores by OFIQ, or as we write them, that join the table and the curves.
        comparisons: pairs of the very same source; its first FMR is that of the curves.
        recogniser: compares the pairs; the model unless given.
        area_limit: up to which share of discarded pairs the area counts.
        num_replicates: of the bands, over people.
        num_workers: processes that decode for the recogniser.
        skip_broken: leave out images that cannot be read.
        show: told of progress.

    Raises:
        InputError: whatever `assess` refuses, a protocol without pairs of images, or comparisons without a recogniser.
    """
    told = None if show is None else (lambda done, total: show("assessing", done, total))
    assessment = assess(source, methods, model=model, detector=detector, skip_broken=skip_broken, progress=told)
    scores = {**assessment.scores, **({} if ofiq is None else read_ofiq(ofiq, assessment.keys))}
    curves, name, protocol = {}, "", ""
    if comparisons is not None:
        judge = recogniser or model
        if judge is None:
            raise InputError("error versus discard needs a recogniser; name a model.")
        table = assessment.table() if judge is model and comparisons.flip == "none" else None
        pairs, keys = _compared(judge, comparisons, source, table, num_workers, show)
        curves = {
            method: _curves(values, assessment.keys, pairs, keys, comparisons, area_limit, num_replicates)
            for method, values in scores.items()
        }
        name, protocol = judge.name, f"{comparisons.name}, flip {comparisons.flip}"
    drawn = all("nuisance" in meta for meta in assessment.metas)
    return QualityRun(
        assessment=assessment,
        scores=scores,
        curves=curves,
        recogniser=name,
        protocol=protocol,
        correlations=nuisance_correlations(scores, assessment.metas, assessment.labels) if drawn else {},
    )


def _compared(
    judge: FaceModel,
    config: EvaluationConfig,
    source: RecordSource,
    table: EmbeddingTable | None,
    num_workers: int,
    show: Show | None,
) -> tuple[Comparisons, Sequence[str]]:
    plan = config.protocol.plan(source)
    if not isinstance(plan, Pairs):
        raise InputError(
            f"{config.name}: quality is that of single images, and this protocol compares no single images."
        )
    told = None if show is None else (lambda done, total: show(f"embedding with {judge.name}", done, total))
    config = replace(config, num_replicates=0)  # only the scores are wanted
    judged = evaluate(judge, config, source=source, plan=plan, table=table, num_workers=num_workers, progress=told)
    return judged.comparisons, judged.table.keys


def _curves(
    values: npt.NDArray[np.float64],
    keys: Sequence[str],
    pairs: Comparisons,
    embedded: Sequence[str],
    config: EvaluationConfig,
    area_limit: float,
    num_replicates: int,
) -> tuple[DiscardCurve, DiscardCurve]:
    """Return both curves of one method; an image without a value is the first to be left out."""
    place = {key: i for i, key in enumerate(keys)}
    finite = values[np.isfinite(values)]
    worst = finite.min() - 1 if len(finite) else 0.0
    of_image = np.array([values[place[key]] if key in place else np.nan for key in embedded])
    quality = np.where(np.isfinite(of_image), of_image, worst)

    def curve(rule: Rule) -> DiscardCurve:
        return error_versus_discard(
            pairs.score,
            pairs.mated,
            pair_quality(quality[pairs.left], quality[pairs.right]),
            fmr=config.fmr_targets[0],
            rule=rule,
            identity_left=pairs.identity_left,
            identity_right=pairs.identity_right,
            area_limit=area_limit,
            num_replicates=num_replicates,
            seed=config.seed,
        )

    return curve("fixed"), curve("retuned")


def best_method(run: QualityRun) -> str:
    """Return the method of the smallest area at the fixed threshold."""
    return min(run.curves, key=lambda name: run.curves[name][0].area or 0.0)


def quality_record(run: QualityRun) -> dict[str, Any]:
    """Return all numbers as plain values for JSON."""
    record: dict[str, Any] = {
        "source": run.assessment.source,
        "images": len(run.assessment),
        "left_out": list(run.assessment.broken),
        "methods": {name: _method_record(name, values) for name, values in run.scores.items()},
    }
    if run.curves:
        best = best_method(run)
        record["error_versus_discard"] = {
            "recogniser": run.recogniser,
            "protocol": run.protocol,
            "pair_quality": "minimum of the two images",
            "best": best,
            "curves": {
                name: {
                    curve.rule: _curve_record(curve)
                    | {"minus_best": _interval(area_difference(curve, run.curves[best][i]))}
                    for i, curve in enumerate(both)
                }
                for name, both in run.curves.items()
            },
        }
    if run.correlations:
        record["spearman_with_nuisance"] = {
            method: {nuisance: [c.value, c.low, c.high] for nuisance, c in row.items()}
            for method, row in run.correlations.items()
        }
    return record


def write_quality(folder: str | Path, run: QualityRun) -> None:
    """Write the scores as OFIQ does, the numbers as JSON, and the embeddings, if any, as a table with the scores."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_ofiq(folder / CSV, run.assessment.keys, run.scores)
    if run.assessment.vectors is not None:
        run.assessment.table().save(folder / TABLE)
    aside = folder / f".{RECORD}.writing"
    aside.write_text(json.dumps(quality_record(run), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(aside, folder / RECORD)


def _method_record(name: str, values: npt.NDArray[np.float64]) -> dict[str, Any]:
    known = QUALITY.get(name)
    finite = values[np.isfinite(values)]
    return {
        "meaning": known.meaning if known else "read from a file",
        "iso_component": known.component if known else "",
        "missing": int(len(values) - len(finite)),
        "quantiles": dict(
            zip(("0", "0.25", "0.5", "0.75", "1"), np.quantile(finite, [0, 0.25, 0.5, 0.75, 1]).tolist(), strict=True)
        )
        if len(finite)
        else None,
    }


def _curve_record(curve: DiscardCurve) -> dict[str, Any]:
    def plain(values: npt.NDArray[np.float64]) -> list[float | None]:
        return [float(value) if np.isfinite(value) else None for value in values]

    return {
        "target_fmr": curve.target_fmr,
        "mated": curve.num_mated,
        "non_mated": curve.num_non_mated,
        "replicates": curve.num_replicates,
        "area_limit": curve.area_limit,
        "area": curve.area,
        "area_interval": _interval(curve.area_interval),
        "gain": curve.gain,
        "random": curve.random,
        "discarded": plain(curve.discarded),
        "fnmr": plain(curve.fnmr),
        "low": plain(curve.low),
        "high": plain(curve.high),
        "threshold": plain(curve.threshold),
        "ideal": plain(curve.ideal),
    }


def _interval(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]
