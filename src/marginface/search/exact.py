"""Exact search: every template is compared, in blocks, and the answer does not depend on the blocks.

A matrix product in float32 is fast, but its rounding depends on the shapes that it is given. So it only decides who
may be among the best: everybody within `SLACK` of the k-th score is scored again in float64, a row at a time, and those
scores are ranked and returned. Ties go to the smaller row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marginface.search.settings import Vectors

SLACK = 1e-4
"""More than a float32 product of unit vectors is off by: gamma_D = D * 6e-8 is 1.2e-4 for D = 2,048 at its worst, and
some 1e-6 as seen."""
BLOCK_SCORES = 4_000_000
"""Scores a block, 16 MB: large enough for the product, small enough for the cache not to matter."""

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Found:
    """The best rows of each query, best first; fewer than k where there are fewer templates."""

    rows: Rows
    """(Q, k) int64"""
    scores: npt.NDArray[np.float64]
    """(Q, k)"""


def search_exact(queries: Vectors, templates: Vectors, *, top_k: int, alive: Rows, block_rows: int = 0) -> Found:
    """Return the `top_k` best of the rows `alive`.

    Args:
        queries: (Q, D) of length 1.
        templates: (N, D) of length 1, often a mapped file.
        top_k: at most so many a query.
        alive: ascending rows of `templates` that are somebody's.
        block_rows: rows a block; chosen by the number of queries unless given.
    """
    top_k = min(top_k, len(alive))
    if top_k == 0 or not len(queries):
        return Found(np.zeros((len(queries), 0), np.int64), np.zeros((len(queries), 0)))
    block_rows = block_rows or max(BLOCK_SCORES // len(queries), 256)
    num_rows = int(alive[-1]) + 1
    is_alive = np.zeros(num_rows, dtype=bool)
    is_alive[alive] = True
    best = np.full((len(queries), top_k), -np.inf, dtype=np.float32)
    near: list[tuple[Rows, Rows, npt.NDArray[np.float32]]] = []
    for first in range(0, num_rows, block_rows):
        end = min(first + block_rows, num_rows)
        scores = queries @ templates[first:end].T  # (Q, B)
        scores[:, ~is_alive[first:end]] = -np.inf
        both = np.concatenate([best, scores], axis=1)
        best = np.partition(both, both.shape[1] - top_k, axis=1)[:, -top_k:]
        which, row = np.nonzero((scores >= best[:, :1] - SLACK) & np.isfinite(scores))
        near.append((which, row + first, scores[which, row]))
    which, rows, rough = (np.concatenate(parts) for parts in zip(*near, strict=True))
    kept = rough >= best[which, 0] - SLACK
    return rank(queries, templates, which[kept], rows[kept], top_k=top_k)


def rank(queries: Vectors, templates: Vectors, which: Rows, rows: Rows, *, top_k: int) -> Found:
    """Return the `top_k` best of the comparisons (query `which`, template `rows`), scored in float64.

    Each query has at least `top_k` of them, or its last places are row -1 with score -inf.
    """
    scores = np.empty(len(which))
    for first in range(0, len(which), 8192):  # bounds the float64 copies
        part = slice(first, first + 8192)
        products = queries[which[part]].astype(np.float64) * templates[rows[part]]
        scores[part] = products.sum(axis=1)
    order = np.lexsort((rows, -scores, which))
    which, rows, scores = which[order], rows[order], scores[order]
    starts = np.searchsorted(which, np.arange(len(queries)))
    place = np.arange(len(which)) - starts[which]
    found = Found(np.full((len(queries), top_k), -1, dtype=np.int64), np.full((len(queries), top_k), -np.inf))
    kept = place < top_k
    found.rows[which[kept], place[kept]] = rows[kept]
    found.scores[which[kept], place[kept]] = scores[kept]
    return found
