"""What may be left out of an evaluation for its quality: pairs of images or templates, or searches.

    comparisons    the quality of a comparison is that of its worse side; errors are mated ones below the threshold
    searches       the quality of a search is that of its probe; errors are mated searches that miss at a fixed FPIR, or
                   where strangers are too few or none, those that do not put their person first

The quality of a template is the mean, or the highest, of its images' (`EvaluationConfig.template_quality`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from marginface.metrics import IdentificationPoint, fmr_support
from marginface.metrics.discard import (
    DiscardCurve,
    Rule,
    error_versus_discard,
    errors_versus_discard,
    pair_quality,
)
from marginface.protocols import Comparisons
from marginface.quality import QUALITY

from .comparison import Evaluation
from .identify import Identification, ProbeQuality
from .settings import EvaluationConfig
from .words import rate_name

Values = npt.NDArray[np.float64]

LEAST_SPREAD = 1e-3
"""Of a score that says something: its range over its largest value."""


class Discardable(Protocol):
    """Something with errors, and qualities by which it may be left out."""

    @property
    def errors(self) -> str:
        """What is counted: `FNMR at FMR 1 %`."""

    @property
    def left_out(self) -> str:
        """What is left out: `true pairs`."""

    @property
    def quality_of(self) -> str:
        """Whose quality it is, the end of a sentence: `the quality of a pair is that of its worse image`."""

    @property
    def rules(self) -> tuple[Rule, ...]: ...

    @property
    def names(self) -> Sequence[str]:
        """Of the qualities."""

    @property
    def size(self) -> int:
        """How much is sorted for a curve."""

    @property
    def is_supported(self) -> bool:
        """Whether there is enough of it for a curve."""

    def curve(self, name: str, *, rule: Rule = "fixed", **settings: Any) -> DiscardCurve:
        """Return the curve of one quality; `settings` are those of `metrics.discard`."""


@dataclass(frozen=True, eq=False)
class DiscardablePairs:
    """Comparisons whose threshold stands at an FMR."""

    comparisons: Comparisons
    values: Mapping[str, Values]
    """By name: (N,) of the sides; NaN where there is none."""
    fmr: float
    quality_of: str
    left_out: str = "true pairs"
    rules: tuple[Rule, ...] = ("fixed", "retuned")

    @property
    def errors(self) -> str:
        """What is counted."""
        return f"FNMR at FMR {rate_name(self.fmr)}"

    @property
    def names(self) -> Sequence[str]:
        """Of the qualities."""
        return list(self.values)

    @property
    def size(self) -> int:
        """Comparisons."""
        return len(self.comparisons)

    @property
    def is_supported(self) -> bool:
        """Whether the non-mated pairs carry the FMR."""
        return fmr_support(int((~self.comparisons.mated).sum()), self.fmr) != "refused"

    def curve(self, name: str, *, rule: Rule = "fixed", **settings: Any) -> DiscardCurve:
        """Return the curve of one quality.

        Raises:
            InputError: too few non-mated pairs for the FMR.
        """
        pairs, quality = self.comparisons, _filled(self.values[name])
        return error_versus_discard(
            pairs.score,
            pairs.mated,
            pair_quality(quality[pairs.left], quality[pairs.right]),
            fmr=self.fmr,
            rule=rule,
            identity_left=pairs.identity_left,
            identity_right=pairs.identity_right,
            **settings,
        )


@dataclass(frozen=True, eq=False)
class DiscardableSearches:
    """Mated searches of all galleries, each with its error."""

    errors: str
    wrong: npt.NDArray[np.bool_]
    """(M,)"""
    person: npt.NDArray[np.int64]
    """(M,)"""
    values: Mapping[str, Values]
    """By name: (M,) of the probes; NaN where there is none."""
    quality_of: str
    left_out: str = "searches for enrolled people"
    rules: tuple[Rule, ...] = ("fixed",)

    @property
    def names(self) -> Sequence[str]:
        """Of the qualities."""
        return list(self.values)

    @property
    def size(self) -> int:
        """Searches."""
        return len(self.wrong)

    @property
    def is_supported(self) -> bool:
        """Always: where no FPIR is, rank 1 counts."""
        return True

    def curve(self, name: str, *, rule: Rule = "fixed", **settings: Any) -> DiscardCurve:
        """Return the curve of one quality; the threshold always stays."""
        if rule != "fixed":
            raise ValueError("the threshold of searches stays; there is no retuned curve")
        return errors_versus_discard(self.wrong, _filled(self.values[name]), person=self.person, **settings)


def discardable(judged: Evaluation | Identification, names: Sequence[str] | None = None) -> Discardable | None:
    """Return what may be left out of what was judged, or None of searches whose probes' quality is not known.

    Args:
        judged: by any protocol.
        names: columns of the table of images; the norm and all methods of `QUALITY` unless given.
    """
    if isinstance(judged, Identification):
        return None if judged.quality is None else _searches(judged, judged.quality, names)
    table = judged.table
    known = {"norm": table.norms, **table.columns}
    values = {name: np.asarray(known[name], np.float64) for name in _chosen(known, names)}
    if judged.images is None:
        return pairs_to_discard(judged.comparisons, values, judged.config.fmr_targets)
    said = f"the quality of a pair is that of its worse template, which is {_pooled(judged.config)}"
    return pairs_to_discard(judged.comparisons, values, judged.config.fmr_targets, quality_of=said)


def pairs_to_discard(
    comparisons: Comparisons,
    values: Mapping[str, Values],
    fmr_targets: Sequence[float],
    *,
    quality_of: str = "the quality of a pair is that of its worse image",
) -> DiscardablePairs:
    """Return comparisons with the strictest rate that they support; where they support none, with the least strict."""
    num_non_mated = int((~comparisons.mated).sum())
    support = {fmr: fmr_support(num_non_mated, fmr) for fmr in fmr_targets}
    firm = [fmr for fmr, word in support.items() if word == "supported"]
    return DiscardablePairs(comparisons, values, min(firm) if firm else max(fmr_targets), quality_of)


def telling(values: npt.NDArray[Any]) -> bool:
    """Return whether scores tell one from another."""
    finite = values[np.isfinite(values)]
    return bool(finite.size) and np.ptp(finite) > LEAST_SPREAD * max(float(np.abs(finite).max()), 1e-12)


def _searches(judged: Identification, quality: ProbeQuality, names: Sequence[str] | None) -> DiscardableSearches:
    """Return the mated searches of all galleries that count, with their errors at the strictest FPIR they support."""
    chosen = [(judged.result.searches[i], judged.summary.galleries[i].points) for i in quality.searches]
    points = [column for column in zip(*(points for _, points in chosen), strict=True) if all(p.fnir for p in column)]
    firm = [column for column in points if all(p.support == "supported" for p in column)]
    at = min(firm, key=_target) if firm else max(points, key=_target) if points else None
    wrong, person = [], []
    for i, (one, _) in enumerate(chosen):
        rank, score = one.rank[one.is_mated], one.mate_score[one.is_mated]
        most = 1 if at is None else judged.summary.max_rank
        missed = np.zeros(len(rank), np.bool_) if most is None else rank > most
        if at is not None:
            missed |= score < score.dtype.type(at[i].thresholds[0])
        wrong.append(missed)
        person.append(one.person[one.is_mated])
    said = "the quality of a search is that of its probe"
    return DiscardableSearches(
        errors="Share not found at rank 1" if at is None else f"FNIR at FPIR {rate_name(_target(at))}",
        wrong=np.concatenate(wrong),
        person=np.concatenate(person),
        values={
            name: np.concatenate(
                [quality.values[name][i][one.is_mated] for i, (one, _) in zip(quality.searches, chosen, strict=True)]
            )
            for name in _chosen(quality.values, names)
        },
        quality_of=f"{said}, which is {_pooled(judged.config)}" if quality.of_templates else said,
    )


def _target(points: Sequence[IdentificationPoint]) -> float:
    return points[0].target_fpir


def _chosen(known: Iterable[str], names: Sequence[str] | None) -> list[str]:
    """Return the names that are asked for, or the norm and then all methods and "quality"."""
    if names is not None:
        return list(names)
    return ["norm", *(name for name in known if name in ("quality", *QUALITY) and name != "norm")]


def _pooled(config: EvaluationConfig) -> str:
    return f"the {'mean' if config.template_quality == 'mean' else 'highest'} of its images'"


def _filled(values: Values) -> Values:
    """Return values in which whatever has none is the first to be left out."""
    finite = values[np.isfinite(values)]
    return np.where(np.isfinite(values), values, finite.min() - 1 if len(finite) else 0.0)
