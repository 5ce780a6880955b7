"""Embeddings that are made meet a protocol's plan: comparisons or searches with their numbers, and where from."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib import metadata

import numpy as np

from marginface.errors import InputError
from marginface.metrics import KFoldAccuracy, fmr_support, magface_k_fold_accuracy
from marginface.protocols import Comparisons, DistractorPlan, Groups, Pairs, Plan, SearchPlan, TemplatePairs, compare
from marginface.protocols.differential import read_groups
from marginface.protocols.gallery_probe import Progress
from marginface.protocols.run_plans import compare_templates
from marginface.records.embedding_table import EmbeddingTable
from marginface.records.record import RecordSource

from .comparison import Evaluation
from .embed import Embedder
from .group_rates import judge_groups
from .identify import Identification, identify
from .record import contract_words
from .saved import SavedEmbeddings, described
from .settings import EvaluationConfig


def judge(
    embedder: Embedder | SavedEmbeddings,
    table: EmbeddingTable,
    config: EvaluationConfig,
    source: RecordSource,
    plan: Plan,
    *,
    system: str | None = None,
    description: str | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> Evaluation | Identification:
    """Return what an embedder's vectors are worth on the comparisons or searches of a plan.

    Args:
        embedder: that made the vectors.
        table: its vectors for the images of the plan.
        config: the protocol, and what to report.
        source: the records that the plan was made for.
        plan: of `config.protocol` over `source`.
        system: name of the row; the embedder's unless given.
        description: what the system is, a short sentence; the embedder's if it has one.
        command: what was typed, for the record.
        progress: of searches: called with (gallery entries searched, entries in all).

    Raises:
        InputError: missing images (unless `config.skip_broken`), groups or folds that are asked for and not there.
    """
    name = embedder.name if system is None else system
    text = described(embedder) if description is None else description
    if isinstance(plan, SearchPlan | DistractorPlan):
        return identify(
            table,
            plan,
            config,
            system=name,
            description=text,
            provenance=_provenance(embedder, config, source, plan, command, f"{plan.name}, searches"),
            keys=tuple(source.keys),
            progress=progress,
        )
    if isinstance(plan, TemplatePairs):
        comparisons, compared = compare_templates(
            table, plan, keys=source.keys, allow_missing=config.skip_broken, quality=config.template_quality
        )
    else:
        comparisons, compared = compare(table, plan, keys=source.keys, allow_missing=config.skip_broken), table
    summary = comparisons.summarise(
        fmr_targets=config.fmr_targets, num_replicates=config.num_replicates, seed=config.seed
    )
    groups = groups_of(config, source, plan)
    made = f"{comparisons.name}, {len(comparisons):,} comparisons"
    return Evaluation(
        system=name,
        description=text,
        config=config,
        summary=summary,
        comparisons=comparisons,
        table=compared,
        provenance={
            **_provenance(embedder, config, source, plan, command, made),
            "resampling": f"{summary.num_replicates:,} replicates over people, seed {config.seed}",
        },
        num_images=len(np.union1d(comparisons.left, comparisons.right)) if isinstance(plan, Pairs) else len(table),
        images=None if isinstance(plan, Pairs) else table,
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
