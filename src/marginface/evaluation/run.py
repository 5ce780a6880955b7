"""Judge an embedder on strangers: records -> embeddings -> comparisons or searches -> numbers, and where from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from marginface.distributed import Ranks
from marginface.errors import InputError
from marginface.protocols import DistractorPlan, Plan, SearchPlan
from marginface.records.embedding_table import EmbeddingTable
from marginface.records.record import RecordSource

from .comparison import Evaluation, EvaluationResult
from .embed import Embedder, Progress
from .identify import Identification
from .judging import groups_of, judge
from .saved import SavedEmbeddings, embedded
from .settings import EvaluationConfig

__all__ = [
    "Evaluation",
    "EvaluationConfig",
    "EvaluationResult",
    "Identification",
    "evaluate",
    "evaluate_systems",
    "judge_systems",
]


def evaluate(
    embedder: Embedder | SavedEmbeddings,
    config: EvaluationConfig,
    *,
    system: str | None = None,
    description: str | None = None,
    source: RecordSource | None = None,
    plan: Plan | None = None,
    table: EmbeddingTable | None = None,
    batch_size: int = 64,
    num_workers: int = 0,
    command: str = "",
    progress: Progress | None = None,
) -> Evaluation:
    """Return an embedder's evaluation on comparisons of images or of templates. Only what is compared is embedded.

    Args:
        embedder: a `FaceModel`, a baseline or saved embeddings.
        config: data, protocol and what to report.
        system: name of the row; the embedder's unless given.
        description: what the system is, a short sentence; the embedder's if it has one.
        source: the records of `config.data`, where they are open already.
        plan: the protocol's plan over `source`, where it is made already.
        table: the embedder's vectors for the images of the plan, where they are made already.
        batch_size: images a step.
        num_workers: processes that decode.
        command: what was typed, for the record.
        progress: called with (images done, images in all).

    Raises:
        InputError: data or pairs that cannot be used, or a protocol of searches (`judge_systems` takes those too).
    """
    source = config.protocol.open(config.data) if source is None else source
    plan = config.protocol.plan(source) if plan is None else plan
    if isinstance(plan, SearchPlan | DistractorPlan):
        raise InputError(
            f"{config.name}: {plan.name} searches galleries, and here only comparisons are judged; "
            "`marginface evaluate` judges searches too."
        )
    if table is None:
        table = embedded(
            embedder, config, source, plan.images, batch_size=batch_size, num_workers=num_workers, progress=progress
        )
    found = judge(embedder, table, config, source, plan, system=system, description=description, command=command)
    assert isinstance(found, Evaluation)  # of comparisons
    return found


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
    """Return the evaluations of several systems on the very same comparisons; as `judge_systems`, without searches."""
    judged = judge_systems(
        embedders,
        config,
        names=names,
        descriptions=descriptions,
        source=source,
        batch_size=batch_size,
        num_workers=num_workers,
        command=command,
        progress=progress,
        ranks=ranks,
    )
    evaluations = [one for one in judged if isinstance(one, Evaluation)]
    if len(evaluations) < len(judged):
        raise InputError(f"{config.name}: {config.protocol.kind} searches galleries; here only comparisons are judged.")
    return evaluations


def judge_systems(
    embedders: Sequence[Embedder | SavedEmbeddings],
    config: EvaluationConfig,
    *,
    names: Sequence[str] | None = None,
    descriptions: Sequence[str | None] | None = None,
    source: RecordSource | None = None,
    batch_size: int = 64,
    num_workers: int = 0,
    command: str = "",
    progress: Callable[[str, int, int], None] | None = None,
    searching: Callable[[str, int, int], None] | None = None,
    ranks: Ranks | None = None,
) -> list[Evaluation | Identification]:
    """Return how several systems do on the very same comparisons or searches, in their order.

    Several ranks share the embedding; the first judges, and the others return an empty list. Several sets: `suite.py`.

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
        searching: called with (system's name, gallery entries searched, entries in all).
        ranks: all of which call this together; None is this process alone.

    Raises:
        InputError: data or a protocol that cannot be used.
    """
    source = config.protocol.open(config.data) if source is None else source
    plan = config.protocol.plan(source)
    groups_of(config, source, plan)  # a wrong table should show now, not after the embedding
    rows = [e.name for e in embedders] if names is None else list(names)
    texts = [None] * len(rows) if descriptions is None else list(descriptions)
    tables = [
        embedded(
            embedder,
            config,
            source,
            plan.images,
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
        judge(
            embedder,
            table,
            config,
            source,
            plan,
            system=row,
            description=text,
            command=command,
            progress=_named(searching, row),
        )
        for embedder, row, text, table in zip(embedders, rows, texts, tables, strict=True)
    ]


def _named(progress: Callable[[str, int, int], None] | None, name: str) -> Progress | None:
    return None if progress is None else lambda done, total: progress(name, done, total)
