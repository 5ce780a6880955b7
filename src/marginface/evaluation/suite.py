"""Several systems judged on several sets; an image that several sets share is embedded once."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from marginface.distributed import Ranks
from marginface.errors import InputError
from marginface.models import FaceModel
from marginface.protocols import Pairs, Plan, TemplatePairs
from marginface.protocols.settings import ProtocolSettings
from marginface.quality import QUALITY
from marginface.records.embedding_table import EmbeddingTable
from marginface.records.record import RecordSource
from marginface.records.select import subset

from .comparison import Evaluation
from .embed import Embedder, embed_records
from .identify import Identification
from .report_quality import compares_images, with_quality
from .run import groups_of, judge_systems
from .saved import HeldEmbeddings, SavedEmbeddings
from .settings import EvaluationConfig

Show = Callable[[str, int, int], None]
"""Called with (what is being done, how much is done, how much there is)."""


@dataclass(frozen=True, kw_only=True)
class SuiteConfig:
    """What several sets are judged on; the file that `marginface evaluate --config` reads."""

    evaluations: tuple[EvaluationConfig, ...]
    """The sets, in the order of the report."""
    title: str = ""
    """Heading of the report; names the models and sets unless given."""
    notes: tuple[str, ...] = ()
    """Sentences for the report: what stands in for what."""
    quality: tuple[str, ...] = ()
    """Of pairs of images: quality methods whose error versus discard is drawn beside that of the norm."""

    def __post_init__(self) -> None:
        names = [one.name for one in self.evaluations]
        if not names:
            raise ValueError("evaluations is empty; name at least one set.")
        if len(set(names)) != len(names):
            raise ValueError(f"evaluations: the names {names} are not all different.")
        unknown = [name for name in self.quality if name not in QUALITY]
        if unknown:
            raise ValueError(f"quality: there is no method {unknown[0]!r}; choose from {', '.join(QUALITY)}.")


@dataclass(frozen=True, eq=False)
class OpenSet:
    """One set with its records and plan, ready to be judged."""

    config: EvaluationConfig
    source: RecordSource
    plan: Plan


def open_sets(suite: SuiteConfig) -> list[OpenSet]:
    """Return the sets of a suite opened and planned, so that what is wrong shows before anything is embedded.

    Raises:
        InputError: data or a protocol that cannot be used, with the set's name.
    """
    found = []
    for config in suite.evaluations:
        with _named(config, suite):
            source = config.protocol.open(config.data)
            plan = config.protocol.plan(source)
            if isinstance(plan, Pairs | TemplatePairs) and (plan.mated.all() or not plan.mated.any()):
                kind = "mated" if plan.mated.all() else "non-mated"
                raise InputError(f"{plan.name} has {kind} pairs only; error rates need both kinds.")
            groups_of(config, source, plan)
            found.append(OpenSet(config, source, plan))
    return found


def judge_suite(
    embedders: Sequence[Embedder | SavedEmbeddings],
    suite: SuiteConfig,
    sets: Sequence[OpenSet],
    *,
    names: Sequence[str] | None = None,
    num_workers: int = 0,
    command: str = "",
    show: Show | None = None,
    ranks: Ranks | None = None,
    **settings: Any,
) -> list[Evaluation | Identification]:
    """Return how all systems do on all sets, set by set; an image that several sets share is embedded once.

    Several ranks share the embedding; the first judges, and the others return an empty list.

    Args:
        embedders: baselines first, the system that matters last.
        suite: what is asked.
        sets: of the suite, opened.
        names: of the systems; the embedders' unless given.
        num_workers: processes that decode.
        command: what was typed, for the record.
        show: told of progress.
        ranks: all of which call this together; None is this process alone.
        settings: further ones of `judge_systems`.

    Raises:
        InputError: whatever `judge_systems` or a quality method refuses.
    """
    rows = [one.name for one in embedders] if names is None else list(names)
    tables: dict[tuple[str, int], EmbeddingTable] = {}  # by group of sets and system
    judged: list[Evaluation | Identification] = []
    for one in sets:
        group = [other for other in sets if _images_of(other) == _images_of(one)]
        ready = list(embedders)
        if len(group) > 1:
            for i, (embedder, row) in enumerate(zip(embedders, rows, strict=True)):
                if isinstance(embedder, SavedEmbeddings):
                    continue
                key = (group[0].config.name, i)
                if key not in tables:
                    tables[key] = _embed_once(embedder, row, group, num_workers, show, ranks)
                ready[i] = HeldEmbeddings(embedder, _only(tables[key], one))
        with _named(one.config, suite):
            found = judge_systems(
                ready,
                one.config,
                names=rows,
                source=one.source,
                num_workers=num_workers,
                command=command,
                progress=show and (lambda row, done, total: show(f"embedding with {row}", done, total)),
                searching=show and (lambda row, done, total: show(f"searching with {row}", done, total)),
                ranks=ranks,
                **settings,
            )
        judged += _assessed(found, one, suite, embedders[-1], show)
    return judged


@contextlib.contextmanager
def _named(config: EvaluationConfig, suite: SuiteConfig) -> Iterator[None]:
    """Put the set's name before a refusal, where there are several sets."""
    try:
        yield
    except InputError as error:
        if len(suite.evaluations) == 1 or str(error).startswith(f"{config.name}: "):
            raise
        raise InputError(f"{config.name}: {error}") from error


def _images_of(one: OpenSet) -> tuple[str, str, str, bool]:
    """Return what two sets have in common whose images can be embedded together."""
    opens_as_others = type(one.config.protocol).open is ProtocolSettings.open  # some align what they open
    return one.config.data, "" if opens_as_others else one.config.name, one.config.flip, one.config.skip_broken


def _embed_once(
    embedder: Embedder, row: str, group: Sequence[OpenSet], num_workers: int, show: Show | None, ranks: Ranks | None
) -> EmbeddingTable:
    first = group[0]
    images = np.unique(np.concatenate([one.plan.images for one in group]))
    return embed_records(
        embedder,
        subset(first.source, images),
        flip=first.config.flip,
        num_workers=num_workers,
        skip_broken=first.config.skip_broken,
        progress=show and (lambda done, total: show(f"embedding with {row}", done, total)),
        ranks=ranks,
    )


def _only(table: EmbeddingTable, one: OpenSet) -> EmbeddingTable:
    """Return the rows of a table that a set needs, and of the broken images those that it would have needed."""
    keys = one.source.keys
    wanted = {keys[int(i)] for i in one.plan.images}
    rows = np.array([i for i, key in enumerate(table.keys) if key in wanted], np.int64)
    broken = [key for key in table.meta["broken"] if key in wanted]
    return dataclasses.replace(
        table,
        vectors=table.vectors[rows],
        norms=table.norms[rows],
        keys=tuple(table.keys[int(i)] for i in rows),
        labels=table.labels[rows],
        meta={**table.meta, "broken": broken},
    )


def _assessed(
    found: list[Evaluation | Identification],
    one: OpenSet,
    suite: SuiteConfig,
    embedder: Embedder | SavedEmbeddings,
    show: Show | None,
) -> list[Evaluation | Identification]:
    """Return what was judged, the last system's images assessed by the methods that the suite names."""
    last = found[-1] if found else None
    if not suite.quality or not isinstance(last, Evaluation) or not compares_images(last):
        return found
    progress = None if show is None else (lambda done, total: show("assessing quality", done, total))
    model = embedder if isinstance(embedder, FaceModel) else None
    return [*found[:-1], with_quality(last, one.source, suite.quality, model=model, progress=progress)]
