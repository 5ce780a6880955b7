"""One system judged on comparisons: the numbers with all that they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marginface.metrics import DifferentialSummary, KFoldAccuracy, VerificationSummary
from marginface.protocols import Comparisons
from marginface.records.embedding_table import EmbeddingTable

from . import words
from .record import accuracy_of, eer_of, evaluation_record
from .settings import EvaluationConfig


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """The short form for a training log."""

    name: str
    sentence: str
    """`lfw: accuracy 97.3 % [96.8, 97.7], EER 2.9 % [2.4, 3.4]`."""
    fields: Mapping[str, Any]
    """`name`, and `accuracy`, `eer` with `_low` and `_high`; rates in 0..1, None where there are no folds."""
    ranking_score: float
    """Higher is better: ten-fold accuracy where there are folds and about as many pairs of either kind, or 1 - EER."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """One system judged on one set of comparisons, with all that the numbers rest on."""

    system: str
    """The name of what was judged: a row of the table."""
    description: str
    config: EvaluationConfig
    summary: VerificationSummary
    comparisons: Comparisons
    table: EmbeddingTable
    """Of what is compared: images, or templates."""
    provenance: Mapping[str, str]
    num_images: int
    """That were embedded: the table's rows, or what its templates were pooled from."""
    images: EmbeddingTable | None = None
    """That templates were pooled from; None where images are compared themselves."""
    magface_accuracy: KFoldAccuracy | None = None
    """Ten-fold accuracy by MagFace's own convention, where it was asked for."""
    groups: DifferentialSummary | None = None
    """What the threshold for all does to each group, where groups are known."""

    @property
    def name(self) -> str:
        """What it was judged on."""
        return self.config.name

    @property
    def result(self) -> EvaluationResult:
        """The short form."""
        eer, accuracy = self.summary.equal_error_rate, self.summary.accuracy
        found = accuracy_of(self.summary)
        telling = None if words.lopsided({"accuracy": found}) else found
        fields: dict[str, Any] = {"name": self.name}
        for word, value, interval in (
            ("accuracy", accuracy and accuracy.mean, accuracy and accuracy.interval),
            ("eer", eer.value, eer.interval),
        ):
            fields[word] = value
            fields[f"{word}_low"] = interval.low if interval else None
            fields[f"{word}_high"] = interval.high if interval else None
        return EvaluationResult(
            name=self.name,
            sentence=words.one_line(self.name, accuracy=telling, eer=eer_of(self.summary)),
            fields=fields,
            ranking_score=1.0 - eer.value if telling is None else telling["value"],
        )

    def to_json(self) -> dict[str, Any]:
        """Return the record: plain values, see `record.py`."""
        return evaluation_record(self)
