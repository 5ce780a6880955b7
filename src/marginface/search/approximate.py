"""Approximate search with faiss: it brings up candidates, which are then scored and ranked as in exact search.

Worth it from some hundred thousand people on. What it fails to bring up is missed, so its recall belongs in the FNIR:
`measure_recall` takes the hardest faces that still count, those whose score is just the threshold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from marginface.errors import InputError
from marginface.metrics.intervals import Interval, wilson
from marginface.search.exact import Found, Rows, rank, search_exact
from marginface.search.settings import Vectors

CANDIDATES = 32
"""At least so many a query come out of the index to be scored again."""


@dataclass(frozen=True, kw_only=True)
class HnswConfig:
    """A graph of neighbours (Malkov and Yashunin, arXiv:1603.09320): fast and accurate, slow to build."""

    kind: Literal["hnsw"] = "hnsw"
    num_links: int = 32
    """Neighbours a person."""
    build_effort: int = 100
    """Candidates looked at while building (efConstruction)."""
    search_effort: int = 128
    """Candidates looked at while searching (efSearch)."""


@dataclass(frozen=True, kw_only=True)
class IvfConfig:
    """Cells around centres, of which the nearest are searched: quick to build."""

    kind: Literal["ivf"] = "ivf"
    num_cells: int = 0
    """0 takes 4 * sqrt(N)."""
    num_probed: int = 32
    """Cells searched."""


IndexConfig = HnswConfig | IvfConfig
INDEXES: dict[str, type[HnswConfig] | type[IvfConfig]] = {"hnsw": HnswConfig, "ivf": IvfConfig}


@dataclass(frozen=True, eq=False)
class ApproximateIndex:
    """An index over the templates as they were after one audit entry."""

    faiss_index: Any
    slots: Rows
    """(N,) slot of each row of the index."""
    sequence: int
    """Templates written later are not in it and are searched exactly."""


@dataclass(frozen=True)
class Recall:
    """How many of the people whom exact search finds the index finds too."""

    value: float
    num_found: int
    num_queries: int
    interval: Interval
    score: float
    """Of the queries with their own templates."""


def build_index(config: IndexConfig, templates: Vectors, *, alive: Rows, sequence: int) -> ApproximateIndex:
    """Return an index over the rows `alive` of `templates`.

    Raises:
        InputError: faiss is not installed, or nobody is enrolled.
    """
    if not len(alive):
        raise InputError("nobody is enrolled, so there is nothing to build an index of.")
    try:
        import faiss
    except ImportError as error:
        raise InputError("approximate search needs faiss: pip install 'marginface[approximate-search]'.") from error
    rows = np.ascontiguousarray(templates[alive])
    dim = rows.shape[1]
    if isinstance(config, HnswConfig):
        index: Any = faiss.IndexHNSWFlat(dim, config.num_links, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction, index.hnsw.efSearch = config.build_effort, config.search_effort
    else:
        num_cells = min(config.num_cells or round(4 * len(rows) ** 0.5), len(rows))
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, num_cells, faiss.METRIC_INNER_PRODUCT)
        index.cp.min_points_per_centroid = 1  # else faiss warns on stderr; few people are searched well all the same
        index.train(rows)
        index.nprobe = config.num_probed
    index.add(rows)
    return ApproximateIndex(index, alive, sequence)


def search_approximate(
    index: ApproximateIndex, queries: Vectors, templates: Vectors, *, top_k: int, alive: Rows, newer: Rows
) -> Found:
    """Return the `top_k` best among what the index brings up and the rows `newer`, which it does not know.

    Places that nobody takes have row -1 and score -inf.
    """
    top_k = min(top_k, len(alive))
    if top_k == 0 or not len(queries):
        return search_exact(queries, templates, top_k=top_k, alive=alive)
    _, places = index.faiss_index.search(np.ascontiguousarray(queries), max(top_k, CANDIDATES))
    which, column = np.nonzero(places >= 0)
    rows = index.slots[places[which, column]]
    known = np.isin(rows, alive) & ~np.isin(rows, newer)  # others were removed, or moved to another slot since
    exact = search_exact(queries, templates, top_k=top_k, alive=newer)
    more_which = np.repeat(np.arange(len(queries)), exact.rows.shape[1])
    which = np.concatenate([which[known], more_which])
    rows = np.concatenate([rows[known], exact.rows.reshape(-1)])
    return rank(queries, templates, which, rows, top_k=top_k)


def queries_at(score: float, templates: Vectors, *, seed: int = 0) -> Vectors:
    """Return a unit vector (n, D) for each template, in a random direction, whose cosine with it is `score`."""
    noise = np.random.default_rng(seed).standard_normal(templates.shape)
    noise -= (noise * templates).sum(axis=1, keepdims=True) * templates
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    return np.asarray(score * templates + (1 - score**2) ** 0.5 * noise, dtype=np.float32)


def measure_recall(
    search: Callable[[Vectors, bool], tuple[Found, list[str]]], queries: Vectors, *, score: float
) -> Recall:
    """Return the share of queries whose best person in an exact search is also the best in an approximate one.

    Args:
        search: called with (queries, exact).
        queries: (Q, D) unit vectors.
        score: what to say of the queries.
    """
    exact, exact_names = search(queries, True)
    found, names = search(queries, False)
    pairs = zip(exact.rows[:, 0].tolist(), found.rows[:, 0].tolist(), strict=True)
    num_found = sum(exact_names[a] == names[b] for a, b in pairs if b >= 0)
    return Recall(num_found / len(queries), num_found, len(queries), wilson(num_found, len(queries)), score)
