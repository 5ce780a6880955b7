"""Judge an embedder on searches: what probes find in galleries, as numbers with where they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from marginface.config import dump
from marginface.metrics import (
    IdentificationRates,
    IdentificationSummary,
    SearchScores,
    error_rates,
    identification_summary,
)
from marginface.metrics.all_pairs import BinnedPoint
from marginface.metrics.replicates import CountedRate
from marginface.metrics.summary import support_sentence
from marginface.protocols.gallery_probe import Progress
from marginface.protocols.plans import DistractorPlan, SearchPlan
from marginface.protocols.run_plans import SearchResult, quality_of_probes, run_distractors, run_searches
from marginface.protocols.templates import rows_of
from marginface.records.embedding_table import EmbeddingTable

if TYPE_CHECKING:
    from .settings import EvaluationConfig


@dataclass(frozen=True, eq=False)
class ProbeQuality:
    """Quality of what was searched."""

    values: Mapping[str, tuple[npt.NDArray[np.float64], ...]]
    """By name: (Q,) for each search, NaN where a probe has none."""
    searches: tuple[int, ...]
    """Which searches error versus discard counts: those of each gallery, or with the most distractors."""
    of_templates: bool
    """Whether probes are templates of several images."""
    rows: npt.NDArray[np.int64]
    """(K,) of the table: the images that probes are made of."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Identification:
    """One system judged on the searches of one protocol, with all that the numbers rest on."""

    system: str
    """The name of what was judged: a row of the table."""
    description: str
    config: EvaluationConfig
    summary: IdentificationSummary
    result: SearchResult
    table: EmbeddingTable
    counts: Mapping[str, int]
    notes: tuple[str, ...]
    provenance: Mapping[str, str]
    quality: ProbeQuality | None = None
    """Of what was searched; None where it is not known."""

    @property
    def name(self) -> str:
        """What it was judged on."""
        return self.config.name

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain values; `json.dumps(..., allow_nan=False)` takes it."""
        summary = self.summary
        return {
            "format": "marginface.identification/1",
            "system": {
                "name": self.system,
                "description": self.description,
                "fingerprint": self.table.fingerprint,
            },
            "protocol": {"name": self.name, **dump(self.config.protocol)},
            "counts": {
                "people": summary.num_people,
                "images": len(self.table),
                "missing_images": self.result.num_missing_images,
                "left_out": self.result.num_left_out,
                **self.counts,
            },
            "confidence": summary.confidence,
            "convention": _convention(summary),
            "galleries": [
                {**rates_record(rates), "open_set": open_set_curve(searches, summary.max_rank)}
                for rates, searches in zip(summary.galleries, self.result.searches, strict=summary.joined is None)
            ],
            "average": None if summary.average is None else rates_record(summary.average),
            "joined": None if summary.joined is None else rates_record(summary.joined),
            "verification": [
                {"name": rates.name, "fnmr_at_fmr": [verification_record(point) for point in points]}
                for rates, points in zip(summary.galleries, self.result.verification, strict=False)
            ],
            "caveats": [*summary.caveats, *self._unsupported(), *self.notes],
            "provenance": dict(self.provenance),
        }

    def _unsupported(self) -> list[str]:
        """Return what even the most distractors cannot say of verification."""
        points = self.result.verification[-1] if self.result.verification else ()
        return [sentence for point in points if (sentence := support_sentence(point))]


def identify(
    table: EmbeddingTable,
    plan: SearchPlan | DistractorPlan,
    config: EvaluationConfig,
    *,
    system: str,
    description: str,
    provenance: Mapping[str, str],
    keys: tuple[str, ...] | None = None,
    progress: Progress | None = None,
) -> Identification:
    """Return a table's identification on a plan.

    Args:
        table: embeddings of the plan's images.
        plan: what is searched where.
        config: rates and resampling.
        system: name of the row.
        description: what the system is.
        provenance: where the numbers come from.
        keys: of the source that the plan was made for.
        progress: called with (gallery entries searched, entries in all).

    Raises:
        InputError: missing images (unless `config.skip_broken`), or searches that cannot be judged.
    """
    run = run_searches if isinstance(plan, SearchPlan) else run_distractors
    result = run(table, plan, keys=keys, allow_missing=config.skip_broken, progress=progress)  # type: ignore[arg-type]
    summary = _summary(result.searches, plan, config)
    return Identification(
        system=system,
        description=description,
        config=config,
        summary=summary,
        result=result,
        table=table,
        counts=plan.counts if isinstance(plan, DistractorPlan) else {},
        notes=plan.notes,
        provenance=provenance,
        quality=_probe_quality(table, plan, result, config, keys),
    )


def _summary(
    searches: Sequence[SearchScores], plan: SearchPlan | DistractorPlan, config: EvaluationConfig
) -> IdentificationSummary:
    """Return the rates of each gallery, their average, and apart from it those of all galleries as one."""

    def summarised(chosen: Sequence[SearchScores], *, average: bool) -> IdentificationSummary:
        return identification_summary(
            chosen,
            ranks=plan.ranks,
            fpir_targets=config.fpir_targets,
            max_rank=config.max_rank,
            average=average,
            num_replicates=config.num_replicates,
            seed=config.seed,
        )

    if not isinstance(plan, SearchPlan):
        return summarised(searches, average=False)
    apart = summarised(searches[: len(plan.searches)], average=plan.average)
    if plan.joined is None:
        return apart
    return replace(apart, joined=summarised(searches[len(plan.searches) :], average=False).galleries[0])


def _probe_quality(
    table: EmbeddingTable,
    plan: SearchPlan | DistractorPlan,
    result: SearchResult,
    config: EvaluationConfig,
    keys: tuple[str, ...] | None,
) -> ProbeQuality:
    rows = rows_of(table, plan.assessed, keys)
    grows = isinstance(plan, DistractorPlan)
    counted = range(len(result.searches) if isinstance(plan, DistractorPlan) else len(plan.searches))
    return ProbeQuality(
        values=quality_of_probes(table, plan, result, keys=keys, how=config.template_quality),
        searches=tuple(counted)[-1 if grows else 0 :],
        of_templates=isinstance(plan, SearchPlan) and not plan.templates.are_single_images,
        rows=rows[rows >= 0],
    )


def rates_record(rates: IdentificationRates) -> dict[str, Any]:
    """Return the rates of a gallery, or of their average, as plain values."""
    return {
        "name": rates.name,
        "mated_searches": rates.num_mated,
        "non_mated_searches": rates.num_non_mated,
        "entries": rates.num_entries,
        "distractors": rates.num_distractors,
        "ranks": [{"rank": one.rank, **rate_record(one.rate)} for one in rates.ranks],
        "mean_average_precision": _or_none(rates.mean_average_precision),
        "fnir_at_fpir": [
            {
                "target_fpir": point.target_fpir,
                "support": point.support,
                "expected_false_positives": point.expected_false_positives,
                "thresholds": list(point.thresholds),
                "achieved_fpir": _or_none(point.achieved_fpir),
                "fnir": _or_none(point.fnir),
            }
            for point in rates.points
        ],
        "cmc": {"rank": [k for k, _ in rates.cmc], "share": [share for _, share in rates.cmc]},
    }


def verification_record(point: BinnedPoint) -> dict[str, Any]:
    """Return FNMR at one FMR among strangers as plain values, an estimate where the comparisons carry it."""
    return {
        "target_fmr": point.target_fmr,
        "support": point.support,
        "expected_false_matches": point.expected_false_matches,
        "mated": point.num_mated,
        "non_mated": point.num_non_mated,
        "threshold": point.threshold,
        "achieved_fmr": point.achieved_fmr,
        "fnmr": None
        if point.value is None or point.interval is None
        else {
            "value": point.value,
            "low": point.interval.low,
            "high": point.interval.high,
            "successes": point.false_non_matches,
            "trials": point.num_mated,
            "method": point.interval.method,
        },
    }


def open_set_curve(searches: SearchScores, max_rank: int | None) -> dict[str, Any] | None:
    """Return FPIR and FNIR at every threshold where a drawing of them bends, or None without non-mated searches.

    Args:
        searches: of one gallery.
        max_rank: a mate beyond it is missed whatever its score; None sets no limit.
    """
    is_mated = searches.is_mated
    if is_mated.all() or not is_mated.any():
        return None
    scores = np.where(is_mated, searches.mate_score, searches.non_mate_score)
    beyond = is_mated & (searches.rank > max_rank) if max_rank is not None else np.zeros_like(is_mated)
    scores = np.where(beyond, scores.min() - 1, scores)  # missed at every threshold: below whatever else there is
    curve = error_rates(scores, is_mated).thinned(400)
    first = int(beyond.any())  # the threshold that would accept them too
    return {
        "threshold": curve.thresholds[first:].tolist(),
        "fpir": curve.fmr[first:].tolist(),
        "fnir": curve.fnmr[first:].tolist(),
    }


def rate_record(rate: CountedRate) -> dict[str, Any]:
    """Return a counted rate as an estimate, as `words` prints them."""
    return {
        "value": rate.value,
        "low": rate.interval.low,
        "high": rate.interval.high,
        "successes": rate.successes,
        "trials": rate.trials,
        "method": rate.interval.method,
    }


def _or_none(rate: CountedRate | None) -> dict[str, Any] | None:
    return None if rate is None else rate_record(rate)


def _convention(summary: IdentificationSummary) -> str:
    level = f"{100 * summary.confidence:g} %"
    rank = "" if summary.max_rank is None else f" or beyond rank {summary.max_rank}"
    return (
        "A mate's rank is one more than the other people's entries that score at least as high; ties count against it. "
        "FPIR is the share of non-mated searches whose highest score reaches the threshold; FNIR that of mated "
        f"searches whose best mate is below it{rank}. Rates are averaged over galleries where there are several. "
        f"Intervals are {level}: at each end the wider of Wilson's and of {summary.num_replicates:,} resamplings of "
        "the probes' people; the galleries stay as they are."
    )
