"""Several systems judged on several sets; an image that several sets share is embedded once."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from marginface.distributed import Ranks
from marginface.errors import InputError
from marginface.models import FaceModel
from marginface.protocols import Pairs, Plan, TemplatePairs
from marginface.protocols.settings import ProtocolSettings
from marginface.protocols.templates import rows_of
from marginface.quality import QUALITY, assess
from marginface.records.embedding_table import EmbeddingTable
from marginface.records.record import RecordSource
from marginface.records.select import subset

from .comparison import Evaluation
from .embed import Embedder
from .identify import Identification
from .judging import groups_of, judge
from .saved import SavedEmbeddings, embedded, places
from .settings import EvaluationConfig
from .words import slug

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
    """Quality methods whose error versus discard is drawn beside that of the norm."""

    def __post_init__(self) -> None:
        names = [one.name for one in self.evaluations]
        if not names:
            raise ValueError("evaluations is empty; name at least one set.")
        if len(set(names)) != len(names):
            raise ValueError(f"evaluations: the names {names} are not all different.")
        short = [slug(name) for name in names]
        if len(set(short)) != len(short):
            raise ValueError(f"evaluations: the names {names} are not all different in files ({', '.join(short)}).")
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
    keep_embeddings: Path | None = None,
    command: str = "",
    show: Show | None = None,
    ranks: Ranks | None = None,
) -> list[Evaluation | Identification]:
    """Return how all systems do on all sets, set by set; an image that several sets share is embedded once.

    Several ranks share the embedding; the first judges, and the others return an empty list.

    Args:
        embedders: baselines first, the system that matters last.
        suite: what is asked.
        sets: of the suite, opened.
        names: of the systems; the embedders' unless given.
        num_workers: processes that decode.
        keep_embeddings: folder for all embeddings, see `saved.py`, so that they can be judged again.
        command: what was typed, for the record.
        show: told of progress.
        ranks: all of which call this together; None is this process alone.

    Raises:
        InputError: names that would share a place in `keep_embeddings`, or what a protocol or quality method refuses.
    """
    rows = [one.name for one in embedders] if names is None else list(names)
    kept = places(keep_embeddings, rows, [one.config.name for one in sets]) if keep_embeddings is not None else {}
    tables: dict[tuple[str, int], EmbeddingTable] = {}  # by group of sets and system
    judged: list[Evaluation | Identification] = []
    is_first = ranks is None or ranks.is_first
    for one in sets:
        group = [other for other in sets if _images_of(other) == _images_of(one)]
        for i, (embedder, row) in enumerate(zip(embedders, rows, strict=True)):
            with _named(one.config, suite):
                made = embedder.of_set(one.config.name) if isinstance(embedder, SavedEmbeddings) else embedder
                key = (group[0].config.name, i)
                if isinstance(made, SavedEmbeddings):
                    table = made.table_for(one.config.flip)
                else:
                    if key not in tables:
                        tables[key] = _embed_once(made, row, group, num_workers, show, ranks)
                    table = _only(tables[key], one)
                if not is_first:
                    continue
                if row is rows[-1]:
                    table = _assessed(table, one, suite, made, show)
                if kept:
                    table.save(kept[row, one.config.name])
                found = judge(
                    made,
                    table,
                    one.config,
                    one.source,
                    one.plan,
                    system=row,
                    command=command,
                    progress=show and partial(show, f"searching with {row}"),
                )
            judged.append(found)
        if one is group[-1]:
            tables = {key: table for key, table in tables.items() if key[0] != group[0].config.name}
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
    return embedded(
        embedder,
        first.config,
        first.source,
        np.unique(np.concatenate([one.plan.images for one in group])),
        num_workers=num_workers,
        progress=show and partial(show, f"embedding with {row}"),
        ranks=ranks,
    )


def _only(table: EmbeddingTable, one: OpenSet) -> EmbeddingTable:
    """Return the rows of a table that a set needs, and of the broken images those that it would have needed."""
    keys = one.source.keys
    wanted = {keys[int(i)] for i in one.plan.images}
    broken = [key for key in table.meta["broken"] if key in wanted]
    if len(wanted) == len(table) + len(broken):
        return table
    rows = np.array([i for i, key in enumerate(table.keys) if key in wanted], np.int64)
    return dataclasses.replace(
        table,
        vectors=table.vectors[rows],
        norms=table.norms[rows],
        keys=tuple(table.keys[int(i)] for i in rows),
        labels=table.labels[rows],
        meta={**table.meta, "broken": broken},
    )


def _assessed(
    table: EmbeddingTable,
    one: OpenSet,
    suite: SuiteConfig,
    embedder: Embedder | SavedEmbeddings,
    show: Show | None,
) -> EmbeddingTable:
    """Return the table with a column for each quality method of the suite; NaN for images that nobody would leave out.

    What is left out is pairs of images or templates, and searches by their probes: galleries are not assessed.
    """
    if not suite.quality:
        return table
    rows = rows_of(table, one.plan.assessed, one.source.keys)
    found = assess(
        subset(one.source, one.plan.assessed[rows >= 0]),
        suite.quality,
        model=embedder if isinstance(embedder, FaceModel) else None,
        progress=show and partial(show, "assessing quality"),
    )
    columns = {name: np.full(len(table), np.nan) for name in found.scores}
    for name, values in found.scores.items():
        columns[name][rows[rows >= 0]] = values
    return table.with_columns(columns)
