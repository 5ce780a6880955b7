"""How well a model names one's own people: nearest class template or classifier, clean and degraded, with strangers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from marginface.evaluation.embed import Flip, embed_records
from marginface.heads.class_means import class_means
from marginface.loading.degraded import Degraded
from marginface.metrics import (
    UNKNOWN,
    Estimate,
    F1Summary,
    OpenSetSummary,
    RejectionThreshold,
    f1_difference,
    f1_summary,
    open_set_summary,
    rejection_threshold,
)
from marginface.models import FaceModel
from marginface.records.embedding_table import EmbeddingTable
from marginface.records.record import RecordSource

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How answers become numbers."""

    flip: Flip
    unknown_accepted: float
    """Share of the calibration strangers' images that the threshold may accept, 0..1."""
    num_replicates: int
    seed: int


@dataclass(frozen=True, eq=False)
class StaffTables:
    """One model's embeddings of all parts; degraded parts are named `test, degraded` and so on."""

    tables: Mapping[str, EmbeddingTable]

    def templates(self) -> Vectors:
        """Return the mean direction of each known person's training images, (C, D) of length 1."""
        train = self.tables["train"]
        means = class_means(torch.from_numpy(train.vectors), torch.from_numpy(train.labels), len(train.identities))
        return np.asarray(means.numpy(), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Row:
    """One way to answer under one condition."""

    when: str
    """before or after."""
    by: str
    """template or classifier."""
    condition: str
    """clean or degraded."""
    f1: F1Summary
    open_set: OpenSetSummary | None
    threshold: RejectionThreshold | None
    """Set on the clean calibration images, for clean and degraded alike."""
    answers: npt.NDArray[np.int64]
    """(N,) of the test images of known people."""


def embed_parts(
    model: FaceModel,
    parts: Mapping[str, RecordSource],
    *,
    degrade: tuple[str, float] | None,
    flip: Flip,
    num_workers: int,
    skip_broken: bool,
    max_side: int,
    show: Callable[[str, int, int], None],
) -> StaffTables:
    """Return a model's embeddings of the parts of a split, and of spoilt copies of the test's images and strangers."""
    sources = dict(parts)
    if degrade is not None:
        kind, strength = degrade
        for name in ("test", "unknown"):
            if name in parts:
                sources[f"{name}, degraded"] = Degraded(parts[name], kind=kind, strength=strength)
    tables = {}
    for name, source in sources.items():
        tables[name] = embed_records(
            model,
            source,
            flip=flip,
            num_workers=num_workers,
            skip_broken=skip_broken,
            max_side=max_side,
            progress=lambda done, total, name=name: show(f"embedding: {name}", done, total),  # type: ignore[misc]
        )
    return StaffTables(tables)


def score_staff(tables: StaffTables, centres: Vectors, *, when: str, by: str, scoring: Scoring) -> list[Row]:
    """Return the rows of one way to answer: the class whose centre has the largest cosine, which is the score.

    Args:
        tables: of the model.
        centres: (C, D) of length 1, one a known person.
        when: "before" or "after".
        by: "template" or "classifier".
        scoring: how answers become numbers.
    """
    threshold = None
    if "calibration" in tables.tables:
        _, scores = _answers(tables.tables["calibration"], centres)
        threshold = rejection_threshold(scores, unknown_accepted=scoring.unknown_accepted)
    rows = []
    for condition, suffix in (("clean", ""), ("degraded", ", degraded")):
        test, unknown = (tables.tables.get(f"{name}{suffix}") for name in ("test", "unknown"))
        if test is None:
            continue
        answers, scores = _answers(test, centres)
        settings: dict[str, Any] = {"num_replicates": scoring.num_replicates, "seed": scoring.seed}
        open_set = None
        if unknown is not None and threshold is not None:
            best, their_scores = _answers(unknown, centres)
            open_set = open_set_summary(
                np.concatenate([test.labels, np.full(len(unknown), UNKNOWN)]),
                np.concatenate([answers, best]),
                np.concatenate([scores, their_scores]),
                people=np.concatenate([test.labels, len(centres) + unknown.labels]),
                threshold=threshold.threshold,
                num_classes=len(centres),
                **settings,
            )
        f1 = f1_summary(test.labels, answers, num_classes=len(centres), **settings)
        rows.append(Row(when, by, condition, f1, open_set, threshold, answers))
    return rows


def gain(before: Row, after: Row, labels: npt.NDArray[np.int64], *, scoring: Scoring) -> dict[str, Estimate]:
    """Return after minus before on the same images: macro, micro and weighted F1."""
    return f1_difference(
        labels,
        before.answers,
        after.answers,
        num_classes=before.f1.num_classes,
        num_replicates=scoring.num_replicates,
        seed=scoring.seed,
    )


def _answers(table: EmbeddingTable, centres: Vectors) -> tuple[npt.NDArray[np.int64], Vectors]:
    """Return the nearest class of each image, (N,), and its cosine."""
    cos_NC = table.unit @ centres.T
    nearest = cos_NC.argmax(axis=1)
    return nearest.astype(np.int64), cos_NC[np.arange(len(nearest)), nearest]
