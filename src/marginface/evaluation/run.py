"""Judge an embedder on strangers: records -> embeddings -> comparisons or searches -> numbers, and where from."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import numpy as np

from marginface.distributed import Ranks
from marginface.errors import InputError
from marginface.metrics import KFoldAccuracy, fmr_support, magface_k_fold_accuracy
from marginface.protocols import Comparisons, DistractorPlan, Groups, Pairs, Plan, SearchPlan, TemplatePairs, compare
from marginface.protocols.differential import read_groups
from marginface.protocols.run_plans import compare_templates
from marginface.records.embedding_table import EmbeddingTable
from marginface.records.record import RecordSource
from marginface.records.select import subset

from .comparison import Evaluation, EvaluationResult
from .embed import Embedder, Progress, embed_records
from .group_rates import judge_groups
from .identify import Identification, identify
from .record import contract_words
from .saved import SavedEmbeddings, described
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
        table = _embedded(
            embedder, config, source, plan, batch_size=batch_size, num_workers=num_workers, progress=progress
        )
    return _judge_comparisons(embedder, config, source, plan, table, system, description, command)


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
    keep_embeddings: Path | None = None,
    command: str = "",
    progress: Callable[[str, int, int], None] | None = None,
    searching: Callable[[str, int, int], None] | None = None,
    ranks: Ranks | None = None,
) -> list[Evaluation | Identification]:
    """Return how several systems do on the very same comparisons or searches, in their order.

    Several ranks share the embedding; the first judges, and the others return an empty list.

    Args:
        embedders: baselines first, the system that matters last, as `write_report` wants them.
        config: data, protocol and what to report.
        names: of the rows; the embedders' unless given.
        descriptions: of the rows; None for the embedder's.
        source: the records of `config.data`, where they are open already.
        batch_size: images a step.
        num_workers: processes that decode.
        keep_embeddings: folder for the last system's embeddings, so that it can be judged again without embedding.
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
        _embedded(
            embedder,
            config,
            source,
            plan,
            batch_size=batch_size,
            num_workers=num_workers,
            progress=_named(progress, row),
            ranks=ranks,
        )
        for embedder, row in zip(embedders, rows, strict=True)
    ]
    if ranks is not None and not ranks.is_first:
        return []
    if keep_embeddings is not None:
        tables[-1].save(keep_embeddings)
    judged: list[Evaluation | Identification] = []
    for embedder, row, text, table in zip(embedders, rows, texts, tables, strict=True):
        if not isinstance(plan, SearchPlan | DistractorPlan):
            judged.append(_judge_comparisons(embedder, config, source, plan, table, row, text, command))
            continue
        judged.append(
            identify(
                table,
                plan,
                config,
                system=row,
                description=described(embedder) if text is None else text,
                provenance=_provenance(embedder, config, source, plan, command, f"{plan.name}, searches"),
                keys=tuple(source.keys),
                progress=_named(searching, row),
            )
        )
    return judged


def _judge_comparisons(
    embedder: Embedder | SavedEmbeddings,
    config: EvaluationConfig,
    source: RecordSource,
    plan: Pairs | TemplatePairs,
    table: EmbeddingTable,
    system: str | None,
    description: str | None,
    command: str,
) -> Evaluation:
    if isinstance(plan, TemplatePairs):
        comparisons, compared = compare_templates(table, plan, keys=source.keys, allow_missing=config.skip_broken)
    else:
        comparisons, compared = compare(table, plan, keys=source.keys, allow_missing=config.skip_broken), table
    summary = comparisons.summarise(
        fmr_targets=config.fmr_targets, num_replicates=config.num_replicates, seed=config.seed
    )
    groups = groups_of(config, source, plan)
    made = f"{comparisons.name}, {len(comparisons):,} comparisons"
    return Evaluation(
        system=embedder.name if system is None else system,
        description=described(embedder) if description is None else description,
        config=config,
        summary=summary,
        comparisons=comparisons,
        table=compared,
        provenance={
            **_provenance(embedder, config, source, plan, command, made),
            "resampling": f"{summary.num_replicates:,} replicates over people, seed {config.seed}",
        },
        num_images=len(np.union1d(comparisons.left, comparisons.right)) if isinstance(plan, Pairs) else len(table),
        magface_accuracy=_magface_accuracy(table, comparisons) if config.magface_ten_fold else None,
        groups=None if groups is None else judge_groups(comparisons, compared.keys, source.keys, groups, config),
    )


def groups_of(config: EvaluationConfig, source: RecordSource, plan: Plan) -> Groups | None:
    """Return the groups of a table, or else those of the protocol.

    Raises:
        InputError: groups of templates or searches, or too few pairs to set their threshold.
    """
    if not isinstance(plan, Pairs):
        if config.groups is not None:
            what = "compares templates" if isinstance(plan, TemplatePairs) else "searches"
            raise InputError(f"{config.name}: groups are of pairs of images; {config.protocol.kind} {what}.")
        return None
    groups = plan.groups
    if config.groups is not None:
        groups = read_groups(config.groups, source.keys, source.identities, source.labels)
    if groups is not None and fmr_support(plan.num_non_mated, config.group_fmr) == "refused":
        raise InputError(
            f"{config.name}: {plan.num_non_mated:,} non-mated pairs cannot set the groups' threshold at FMR "
            f"{config.group_fmr:g}; set group_fmr to {30 / max(plan.num_non_mated, 1):.1g} or more."
        )
    return groups


def _magface_accuracy(table: EmbeddingTable, comparisons: Comparisons) -> KFoldAccuracy:
    if comparisons.fold is None:
        raise InputError(f"magface_ten_fold: {comparisons.name} names no folds.")
    return magface_k_fold_accuracy(
        table.vectors[comparisons.left], table.vectors[comparisons.right], comparisons.mated, comparisons.fold
    )


def _provenance(
    embedder: Embedder | SavedEmbeddings,
    config: EvaluationConfig,
    source: RecordSource,
    plan: Plan,
    command: str,
    made: str,
) -> dict[str, str]:
    pooling = getattr(plan, "pooling", None)
    letters = {} if pooling is None else {"pooling": f"{pooling.letters}F{2 if config.flip == 'sum' else 1}"}
    return {
        "data": source.location,
        "protocol": made,
        **letters,
        "flip": "embeddings of the image and of its mirror image added" if config.flip == "sum" else "none",
        "input": embedder.made_from if isinstance(embedder, SavedEmbeddings) else contract_words(embedder.contract),
        "embedding": f"{embedder.embedding_dim} values",
        "software": f"marginface {metadata.version('marginface')}, Python {platform.python_version()}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
    }


def _embedded(
    embedder: Embedder | SavedEmbeddings,
    config: EvaluationConfig,
    source: RecordSource,
    plan: Plan,
    *,
    batch_size: int,
    num_workers: int,
    progress: Progress | None,
    ranks: Ranks | None = None,
) -> EmbeddingTable:
    """Return the embeddings of the images that a plan needs."""
    if isinstance(embedder, SavedEmbeddings):
        return embedder.table_for(config.flip)
    return embed_records(
        embedder,
        subset(source, plan.images),
        flip=config.flip,
        batch_size=batch_size,
        num_workers=num_workers,
        skip_broken=config.skip_broken,
        progress=progress,
        ranks=ranks,
    )


def _named(progress: Callable[[str, int, int], None] | None, name: str) -> Progress | None:
    return None if progress is None else lambda done, total: progress(name, done, total)
