"""Judge an embedder on strangers: records -> embeddings -> comparisons -> numbers, with where they come from."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import Annotated, Any

import numpy as np

from marginface.config import by_kind
from marginface.distributed import Ranks
from marginface.metrics import VerificationSummary
from marginface.protocols import PROTOCOLS, Comparisons, Pairs, ProtocolConfig, compare
from marginface.records.embedding_table import EmbeddingTable
from marginface.records.open import open_records
from marginface.records.record import RecordSource
from marginface.records.select import subset

from . import words
from .embed import Embedder, Flip, Progress, embed_records
from .record import accuracy_of, contract_words, eer_of, evaluation_record


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What to judge on, and how."""

    name: str
    """What tables, logs and the report call it: `lfw`."""
    data: str
    """Aligned faces of people who were not in training, as `open_records` takes them."""
    protocol: Annotated[ProtocolConfig, by_kind("protocol", PROTOCOLS)]
    flip: Flip = "sum"
    """`sum` adds the mirrored image's embedding, as published tables do; `none` takes half the time."""
    fmr_targets: tuple[float, ...] = (1e-2, 1e-3, 1e-4)
    """False match rates, 0..1, at which the FNMR is given where the data supports them."""
    num_replicates: int = 1000
    """Resamplings of the people for the intervals; 0 leaves Wilson's alone, which take pairs for independent."""
    seed: int = 0
    """Of the resampling."""
    skip_broken: bool = False
    """Leave out images that cannot be decoded, with their pairs, and count both, rather than stop."""

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name is empty; give the evaluation a short name such as lfw.")
        outside = [rate for rate in self.fmr_targets if not 0 < rate < 1]
        if outside:
            raise ValueError(f"fmr_targets: {outside[0]:g} is not a rate; give values between 0 and 1, such as 1e-3.")
        if len(set(self.fmr_targets)) != len(self.fmr_targets):
            raise ValueError(f"fmr_targets {list(self.fmr_targets)} names a rate twice.")
        if self.num_replicates < 0:
            raise ValueError(f"num_replicates is {self.num_replicates}; give 0 or more.")


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
    provenance: Mapping[str, str]

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


def evaluate(
    embedder: Embedder,
    config: EvaluationConfig,
    *,
    system: str | None = None,
    description: str | None = None,
    source: RecordSource | None = None,
    pairs: Pairs | None = None,
    table: EmbeddingTable | None = None,
    batch_size: int = 64,
    num_workers: int = 0,
    command: str = "",
    progress: Progress | None = None,
) -> Evaluation:
    """Return an embedder's evaluation. Only images that stand in a pair are embedded.

    Args:
        embedder: a `FaceModel` or a baseline.
        config: data, protocol and what to report.
        system: name of the row; the embedder's unless given.
        description: what the system is, a short sentence; the embedder's if it has one.
        source: the records of `config.data`, where they are open already.
        pairs: the protocol's pairs over `source`, where they are made already.
        table: the embedder's vectors for the images of the pairs, where they are made already.
        batch_size: images a step.
        num_workers: processes that decode.
        command: what was typed, for the record.
        progress: called with (images done, images in all).

    Raises:
        InputError: data or pairs that cannot be used.
    """
    source = open_records(config.data) if source is None else source
    pairs = config.protocol.pairs(source.keys, source.labels) if pairs is None else pairs
    if table is None:
        table = _embed_pairs(
            embedder, config, source, pairs, batch_size=batch_size, num_workers=num_workers, progress=progress
        )
    comparisons = compare(table, pairs, keys=source.keys, allow_missing=config.skip_broken)
    summary = comparisons.summarise(
        fmr_targets=config.fmr_targets, num_replicates=config.num_replicates, seed=config.seed
    )
    return Evaluation(
        system=embedder.name if system is None else system,
        description=_described(embedder) if description is None else description,
        config=config,
        summary=summary,
        comparisons=comparisons,
        table=table,
        provenance={
            "data": source.location,
            "protocol": f"{comparisons.name}, {len(comparisons):,} comparisons",
            "flip": "embeddings of the image and of its mirror image added" if config.flip == "sum" else "none",
            "input": contract_words(embedder.contract),
            "embedding": f"{embedder.embedding_dim} values",
            "resampling": f"{summary.num_replicates:,} replicates over people, seed {config.seed}",
            "software": f"marginface {metadata.version('marginface')}, Python {platform.python_version()}",
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": command,
        },
    )


def evaluate_systems(
    embedders: Sequence[Embedder],
    config: EvaluationConfig,
    *,
    names: Sequence[str] | None = None,
    descriptions: Sequence[str | None] | None = None,
    source: RecordSource | None = None,
    batch_size: int = 64,
    num_workers: int = 0,
    command: str = "",
    progress: Callable[[str, int, int], None] | None = None,
    ranks: Ranks | None = None,
) -> list[Evaluation]:
    """Return the evaluations of several systems on the very same pairs, in their order.

    Several ranks share the embedding; the first judges, and the others return an empty list.

    Args:
        embedders: baselines first, the system that matters last, as `write_report` wants them.
        config: data, protocol and what to report.
        names: of the rows; the embedders' unless given.
        descriptions: of the rows; None for the embedder's.
        source: the records of `config.data`, where they are open already.
        batch_size: images a step.
        num_workers: processes that decode.
        command: what was typed, for the record.
        progress: called with (system's name, images done, images in all), those of this rank.
        ranks: all of which call this together; None is this process alone.
    """
    source = open_records(config.data) if source is None else source
    pairs = config.protocol.pairs(source.keys, source.labels)
    rows = [e.name for e in embedders] if names is None else list(names)
    texts = [None] * len(rows) if descriptions is None else list(descriptions)
    tables = [
        _embed_pairs(
            embedder,
            config,
            source,
            pairs,
            batch_size=batch_size,
            num_workers=num_workers,
            progress=_named(progress, row),
            ranks=ranks,
        )
        for embedder, row in zip(embedders, rows, strict=True)
    ]
    if ranks is not None and not ranks.is_first:
        return []
    return [
        evaluate(
            embedder, config, system=row, description=text, source=source, pairs=pairs, table=table, command=command
        )
        for embedder, row, text, table in zip(embedders, rows, texts, tables, strict=True)
    ]


def _embed_pairs(
    embedder: Embedder,
    config: EvaluationConfig,
    source: RecordSource,
    pairs: Pairs,
    *,
    batch_size: int,
    num_workers: int,
    progress: Progress | None,
    ranks: Ranks | None = None,
) -> EmbeddingTable:
    """Return the embeddings of the images that stand in a pair."""
    return embed_records(
        embedder,
        subset(source, np.union1d(pairs.left, pairs.right)),
        flip=config.flip,
        batch_size=batch_size,
        num_workers=num_workers,
        skip_broken=config.skip_broken,
        progress=progress,
        ranks=ranks,
    )


def _described(embedder: Embedder) -> str:
    """Return what a baseline says of itself, or what a model's card says."""
    return str(getattr(embedder, "description", "") or getattr(getattr(embedder, "card", None), "description", ""))


def _named(progress: Callable[[str, int, int], None] | None, name: str) -> Progress | None:
    return None if progress is None else lambda done, total: progress(name, done, total)
