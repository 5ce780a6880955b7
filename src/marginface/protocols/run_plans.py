"""Plans meet embeddings: templates are pooled and compared, galleries searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.metrics.all_pairs import BinCounter, BinnedPoint, verify_among_strangers
from marginface.metrics.identification import SearchScores
from marginface.protocols.comparisons import Comparisons
from marginface.protocols.gallery_probe import (
    NOBODY,
    Gallery,
    Progress,
    count_ahead,
    mates_of,
    search_gallery,
)
from marginface.protocols.pair_scores import pair_scores
from marginface.protocols.plans import DistractorPlan, SearchPlan, TemplatePairs
from marginface.protocols.templates import (
    Pooled,
    PoolingConfig,
    QualityPooling,
    Templates,
    pool,
    rows_of,
    template_quality,
)
from marginface.records.embedding_table import EmbeddingTable


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What the searches of a plan gave, and what was left out of them."""

    searches: tuple[SearchScores, ...]
    num_missing_images: int
    """That have no embedding."""
    num_left_out: int
    """Templates that had no other image."""
    probe: tuple[npt.NDArray[np.int64], ...] = ()
    """(Q,) of each search: which template, or with single distractors which image of the probe set, was searched."""
    verification: tuple[tuple[BinnedPoint, ...], ...] = ()
    """Of each number of distractors: FNMR of all couples at low FMRs of all probes with all distractors."""


def compare_templates(
    table: EmbeddingTable,
    plan: TemplatePairs,
    *,
    keys: Sequence[str] | None = None,
    allow_missing: bool = False,
    quality: QualityPooling = "mean",
) -> tuple[Comparisons, EmbeddingTable]:
    """Return the score of each pair of templates, and the templates as a table that the scores' positions speak of.

    Args:
        table: embeddings of the images.
        plan: templates as positions in `keys`.
        keys: of the source that the plan was made for; None where it was made for the table itself.
        allow_missing: pool without images that the table lacks; pairs of templates without any are left out, counted.
        quality: how the norm and the number columns of the images become those of the templates.

    Raises:
        InputError: an image without an embedding (unless allowed), or no pair left.
    """
    pooled = pool(table, plan.templates, plan.pooling, keys=keys, allow_missing=allow_missing)
    left, right, mated, num_left_out = plan.left, plan.right, plan.mated, 0
    if not pooled.present.all():
        kept = pooled.present[left] & pooled.present[right]
        num_left_out = int(len(kept) - kept.sum())
        left, right, mated = left[kept], right[kept], mated[kept]
    if not len(left):
        raise InputError(f"{plan.name}: there is no pair with both templates; nothing can be compared.")
    templates = template_table(table, plan.templates, pooled, plan.pooling).with_columns(
        {
            **quality_of_templates(table, plan.templates, keys=keys, how=quality),
            "picture": _pictures(table, plan.templates, keys),
        }
    )
    comparisons = Comparisons(
        name=plan.name,
        score=pair_scores(pooled.unit, left, right),
        mated=mated,
        left=left,
        right=right,
        identity_left=templates.labels[left],
        identity_right=templates.labels[right],
        num_left_out=num_left_out,
    )
    return comparisons, templates


def template_table(
    table: EmbeddingTable, templates: Templates, pooled: Pooled, pooling: PoolingConfig
) -> EmbeddingTable:
    """Return the templates as an embedding table of their own: keys are template ids, norms are 1."""
    people, labels = np.unique(templates.person, return_inverse=True)
    return EmbeddingTable(
        vectors=pooled.unit,
        norms=pooled.present.astype(np.float32),
        keys=templates.names,
        labels=labels.astype(np.int64),
        identities=tuple(f"person {one}" for one in people.tolist()),
        fingerprint=table.fingerprint,
        meta={**table.meta, "pooling": pooling.letters, "missing_images": pooled.num_missing_images},
    )


def quality_of_templates(
    table: EmbeddingTable, templates: Templates, *, keys: Sequence[str] | None, how: QualityPooling
) -> dict[str, npt.NDArray[np.float64]]:
    """Return (T,) the norm, and every column of real numbers, of a table's images pooled into templates."""
    row = rows_of(table, templates.image, keys)
    return {name: template_quality(values, templates, row, how) for name, values in _qualities(table).items()}


def _pictures(table: EmbeddingTable, templates: Templates, keys: Sequence[str] | None) -> npt.NDArray[np.str_]:
    """Return (T,) the key of an image to show for each template: that of the longest embedding; empty for none."""
    row = rows_of(table, templates.image, keys)
    kept = np.flatnonzero(row >= 0)
    order = kept[np.lexsort((table.norms[row[kept]], templates.template[kept]))]  # each template's longest comes last
    shown = np.full(len(templates), -1, np.int64)
    shown[templates.template[order]] = row[order]
    return np.array([table.keys[i] if i >= 0 else "" for i in shown.tolist()])


def quality_of_probes(
    table: EmbeddingTable,
    plan: SearchPlan | DistractorPlan,
    result: SearchResult,
    *,
    keys: Sequence[str] | None,
    how: QualityPooling,
) -> dict[str, tuple[npt.NDArray[np.float64], ...]]:
    """Return by name the norm, and every column of real numbers, of what was searched: (Q,) for each search."""
    if isinstance(plan, SearchPlan):
        found = quality_of_templates(table, plan.templates, keys=keys, how=how)
    else:
        row = rows_of(table, plan.probe, keys)
        found = {
            name: np.where(row >= 0, np.asarray(values, np.float64)[row], np.nan)
            for name, values in _qualities(table).items()
        }
    return {name: tuple(values[probe] for probe in result.probe) for name, values in found.items()}


def _qualities(table: EmbeddingTable) -> dict[str, npt.NDArray[np.floating]]:
    return {"norm": table.norms, **{name: one for name, one in table.columns.items() if one.dtype.kind == "f"}}


def run_searches(
    table: EmbeddingTable,
    plan: SearchPlan,
    *,
    keys: Sequence[str] | None = None,
    allow_missing: bool = False,
    progress: Progress | None = None,
) -> SearchResult:
    """Return the scores of each of a plan's searches.

    Templates of one image are read from the table a block at a time, so a gallery may be larger than memory.

    Args:
        table: embeddings of the images.
        plan: templates as positions in `keys`.
        keys: of the source that the plan was made for; None where it was made for the table itself.
        allow_missing: leave out images that the table lacks, with templates that have no other; both are counted.
        progress: called with (gallery entries searched, entries in all) of each search in turn.

    Raises:
        InputError: an image without an embedding (unless allowed), or a search without probes or gallery.
    """
    templates = plan.templates
    if templates.are_single_images:
        rows = rows_of(table, templates.image, keys)
        used = np.isin(
            np.arange(len(templates)), np.concatenate([np.append(s.probe, s.gallery) for s in plan.all_searches])
        )
        has_images = present = rows >= 0
        vectors = table.vectors
        missing = int((used & ~present).sum())
        if missing and not allow_missing:
            raise InputError(
                f"{plan.name}: {missing:,} images have no embedding, perhaps being broken: repair them, or allow "
                "missing images to have them left out and counted."
            )
    else:
        pooled = pool(table, templates, plan.pooling, keys=keys, allow_missing=allow_missing)
        has_images = pooled.present
        rows, present, vectors = np.arange(len(templates)), has_images | plan.count_absent, pooled.unit
        used, missing = np.ones(len(templates), np.bool_), pooled.num_missing_images

    def entries(kept: npt.NDArray[np.int64]) -> Gallery:
        return Gallery(vectors, rows[kept], templates.person[kept])

    probes = tuple(search.probe[present[search.probe]] for search in plan.all_searches)
    searches = tuple(
        search_gallery(
            search.name,
            entries(probe),
            entries(search.gallery[present[search.gallery]]),
            all_mates=plan.all_mates,
            progress=progress,
        )
        for search, probe in zip(plan.all_searches, probes, strict=True)
    )
    if plan.count_absent:
        searches = tuple(
            _missed(one, has_images[probe], templates.person[search.gallery[has_images[search.gallery]]])
            for one, probe, search in zip(searches, probes, plan.all_searches, strict=True)
        )
    return SearchResult(searches, missing, int((used & ~present).sum()), probes)


def _missed(scores: SearchScores, has_images: npt.NDArray[np.bool_], enrolled: npt.NDArray[np.int64]) -> SearchScores:
    """Return scores in which a probe without any image finds and names nobody, nor is one without any found.

    Args:
        scores: of one gallery.
        has_images: (Q,) whether each probe has any.
        enrolled: people who have an entry with images.
    """
    misses = scores.is_mated & ~(has_images & np.isin(scores.person, enrolled))
    return replace(
        scores,
        rank=np.where(misses, scores.num_entries, scores.rank),
        mate_score=np.where(misses, np.float32(-1), scores.mate_score),
        non_mate_score=np.where(has_images, scores.non_mate_score, np.float32(-1)),
    )


def run_distractors(
    table: EmbeddingTable,
    plan: DistractorPlan,
    *,
    keys: Sequence[str] | None = None,
    allow_missing: bool = False,
    progress: Progress | None = None,
) -> SearchResult:
    """Return, for each number of distractors, the rank of every couple of images of one person, and their FNMR.

    Each couple is a search: one image is the probe, the other stands alone among the distractors. In verification it
    counts once, against every comparison of a probe with a distractor. Arguments and errors as in `run_searches`.
    """
    probe_rows, distractor_rows = (rows_of(table, one, keys) for one in (plan.probe, plan.distractor))
    missing = int((probe_rows < 0).sum() + (distractor_rows[: plan.sizes[-1]] < 0).sum())
    if missing and not allow_missing:
        raise InputError(f"{plan.name}: {missing:,} images have no embedding; allow missing images to leave them out.")
    kept = probe_rows >= 0
    person, distractor_rows = plan.person[kept], distractor_rows[distractor_rows >= 0]
    probes = Gallery(table.vectors, probe_rows[kept], person)
    probe_unit = probes.unit(slice(None))
    one, other = mates_of(person, person)
    one, other = one[one != other], other[one != other]
    if not len(one):
        raise InputError(f"{plan.name}: nobody in the probe set has two images; there are no mates to find.")
    score = pair_scores(probe_unit, one, other)
    once, strangers, verification = one < other, BinCounter(), []
    ahead, highest, searches, start = np.zeros(len(one), np.int64), np.full(len(person), -1, np.float32), [], 0
    for size in np.unique(np.minimum(plan.sizes, len(distractor_rows))).tolist():
        rows = distractor_rows[start:size]
        added = count_ahead(
            probe_unit,
            Gallery(table.vectors, rows, np.full(len(rows), NOBODY)),
            one,
            score,
            counter=strangers,
            progress=progress,
        )
        verification.append(verify_among_strangers(strangers, score[once], person[one[once]]))
        ahead, highest, start = ahead + added.num_ahead, np.maximum(highest, added.highest), size
        searches.append(
            SearchScores(
                name=f"{size:,} distractors",
                person=person[one],
                rank=1 + ahead,
                mate_score=score,
                non_mate_score=highest[one],
                average_precision=None,
                num_entries=size + 1,
                num_distractors=size,
            )
        )
    searched = np.flatnonzero(kept)[one]
    return SearchResult(tuple(searches), missing, missing, (searched,) * len(searches), tuple(verification))
