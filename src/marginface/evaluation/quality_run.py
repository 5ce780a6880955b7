"""Quality of a source, and what it is worth: scores, error versus discard curves, correlation with known truth."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.images.detect import Detector
from marginface.metrics.discard import DiscardCurve, Rule, area_difference
from marginface.metrics.intervals import Interval
from marginface.models import FaceModel
from marginface.protocols import Plan
from marginface.protocols.templates import rows_of
from marginface.quality import QUALITY, Assessment, assess, read_ofiq, write_ofiq
from marginface.records.embedding_table import EmbeddingTable
from marginface.records.record import RecordSource

from .discard import discardable
from .judging import judge
from .quality_truth import Correlation, nuisance_correlations
from .saved import embedded
from .settings import EvaluationConfig

Scores = Mapping[str, npt.NDArray[np.float64]]
Show = Callable[[str, int, int], None]
"""Called with (what is being done, images done, images in all)."""

CSV, RECORD, TABLE = "quality.csv", "quality.json", "table"


@dataclass(frozen=True, eq=False)
class Worth:
    """What the scores are worth on one protocol."""

    name: str
    protocol: str
    """With what else decides the scores of comparisons."""
    recogniser: str
    """Whose errors are counted."""
    errors: str
    """What is counted: `FNMR at FMR 1 %`."""
    left_out: str
    """What is left out: `true pairs`."""
    quality_of: str
    """Whose quality that is."""
    curves: Mapping[str, tuple[DiscardCurve, ...]]
    """By method: with the threshold fixed and, of comparisons, with it retuned."""

    @property
    def best(self) -> str:
        """The method of the smallest area at the fixed threshold."""
        return min(self.curves, key=lambda name: self.curves[name][0].area or 0.0)


@dataclass(frozen=True, eq=False)
class QualityRun:
    """Everything that `write` puts into a folder."""

    assessment: Assessment
    scores: Scores
    """(N,) by method: the assessment's, and those read from a file."""
    worth: tuple[Worth, ...]
    """On each protocol."""
    correlations: Mapping[str, Mapping[str, Correlation]]
    """By method and nuisance, where the people are drawn."""


def run_quality(
    source: RecordSource,
    methods: Sequence[str],
    *,
    model: FaceModel | None = None,
    detector: Detector | None = None,
    ofiq: Path | None = None,
    protocols: Sequence[EvaluationConfig] = (),
    recogniser: FaceModel | None = None,
    area_limit: float = 0.2,
    num_replicates: int = 200,
    num_workers: int = 0,
    skip_broken: bool = False,
    show: Show | None = None,
) -> QualityRun:
    """Return the quality of all images of a source and, with `protocols`, what each score is worth on them.

    Args:
        source: aligned face crops.
        methods: keys of `QUALITY`.
        model: whose embeddings the methods ask.
        detector: for landmarks that the records do not carry.
        ofiq: a file of scores by OFIQ, or as we write them, that join the table and the curves.
        protocols: of the very same source, of any kind; the strictest of their rates that they carry is that of the
            curves.
        recogniser: judges the protocols; the model unless given.
        area_limit: up to which share left out the area counts.
        num_replicates: of the bands, over people.
        num_workers: processes that decode for the recogniser.
        skip_broken: leave out images that cannot be read.
        show: told of progress.

    Raises:
        InputError: whatever `assess` or a protocol refuses, or protocols without a recogniser.
    """
    judge_of = recogniser or model
    if protocols and judge_of is None:
        raise InputError("error versus discard needs a recogniser; name a model.")
    plans = [config.protocol.plan(source) for config in protocols]  # what is wrong shows before anything is embedded
    assessment = assess(
        source,
        methods,
        model=model,
        detector=detector,
        skip_broken=skip_broken,
        progress=None if show is None else partial(show, "assessing"),
    )
    scores = {**assessment.scores, **({} if ofiq is None else read_ofiq(ofiq, assessment.keys))}
    tables: dict[str, EmbeddingTable] = {}  # by flip policy
    if judge_of is model and model is not None:
        tables["none"] = assessment.table()
    worth = []
    for config, plan in zip(protocols, plans, strict=True):
        assert judge_of is not None  # refused above
        if config.flip not in tables:
            told = None if show is None else partial(show, f"embedding with {judge_of.name}")
            alike = [one.images for one, other in zip(plans, protocols, strict=True) if other.flip == config.flip]
            images = np.unique(np.concatenate(alike))
            tables[config.flip] = embedded(judge_of, config, source, images, num_workers=num_workers, progress=told)
        table = _with_scores(tables[config.flip], assessment.keys, scores)
        settings = {"area_limit": area_limit, "num_replicates": num_replicates, "seed": config.seed}
        worth.append(_worth(judge_of, table, config, source, plan, list(scores), settings))
    drawn = all("nuisance" in meta for meta in assessment.metas)
    return QualityRun(
        assessment=assessment,
        scores=scores,
        worth=tuple(worth),
        correlations=nuisance_correlations(scores, assessment.metas, assessment.labels) if drawn else {},
    )


def _with_scores(table: EmbeddingTable, keys: Sequence[str], scores: Scores) -> EmbeddingTable:
    """Return the table with each score as a column; NaN for images that were not assessed."""
    row = rows_of(table, np.arange(len(keys)), keys)
    columns = {name: np.full(len(table), np.nan) for name in scores}
    for name, values in scores.items():
        columns[name][row[row >= 0]] = values[row >= 0]
    return dataclasses.replace(table, columns=columns)


def _worth(
    recogniser: FaceModel,
    table: EmbeddingTable,
    config: EvaluationConfig,
    source: RecordSource,
    plan: Plan,
    methods: Sequence[str],
    settings: Mapping[str, Any],
) -> Worth:
    alone = dataclasses.replace(config, num_replicates=0, groups=None)  # only the scores are wanted
    judged = judge(recogniser, table, alone, source, plan)
    found = discardable(judged, methods)
    assert found is not None  # the quality of probes is known
    if not found.is_supported:
        raise InputError(f"{config.name}: too few non-mated pairs for {found.errors}; take a higher FMR, or more.")
    rules: tuple[Rule, ...] = found.rules
    return Worth(
        name=config.name,
        protocol=f"{config.name}, flip {config.flip}",
        recogniser=recogniser.name,
        errors=found.errors,
        left_out=found.left_out,
        quality_of=found.quality_of,
        curves={name: tuple(found.curve(name, rule=rule, **settings) for rule in rules) for name in methods},
    )


def quality_record(run: QualityRun) -> dict[str, Any]:
    """Return all numbers as plain values for JSON."""
    record: dict[str, Any] = {
        "source": run.assessment.source,
        "images": len(run.assessment),
        "left_out": list(run.assessment.broken),
        "methods": {name: _method_record(name, values) for name, values in run.scores.items()},
    }
    if run.worth:
        record["error_versus_discard"] = {one.name: _worth_record(one) for one in run.worth}
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


def _worth_record(worth: Worth) -> dict[str, Any]:
    return {
        "recogniser": worth.recogniser,
        "protocol": worth.protocol,
        "errors": worth.errors,
        "left_out": worth.left_out,
        "quality_of": worth.quality_of,
        "best": worth.best,
        "curves": {
            name: {
                curve.rule: _curve_record(curve)
                | {"minus_best": _interval(area_difference(curve, worth.curves[worth.best][i]))}
                for i, curve in enumerate(curves)
            }
            for name, curves in worth.curves.items()
        },
    }


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
