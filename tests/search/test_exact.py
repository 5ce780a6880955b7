"""Exact search."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marginface.search.exact import Found, search_exact


def _unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    rows = rng.standard_normal(shape)
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def _obvious(queries: np.ndarray, templates: np.ndarray, alive: np.ndarray, top_k: int) -> Found:
    scores = queries.astype(np.float64) @ templates[alive].astype(np.float64).T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
    return Found(alive[order], np.take_along_axis(scores, order, axis=1))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 999),
    num=st.integers(1, 300),
    top_k=st.integers(1, 7),
    block_rows=st.integers(1, 400),
    num_queries=st.integers(1, 5),
)
def test_the_answer_does_not_depend_on_the_blocks_or_on_the_company_of_a_query(
    seed: int, num: int, top_k: int, block_rows: int, num_queries: int
) -> None:
    rng = np.random.default_rng(seed)
    templates, queries = _unit(rng, num, 48), _unit(rng, num_queries, 48)
    templates[rng.integers(num, size=num // 3)] = templates[0]  # ties
    alive = np.flatnonzero(rng.random(num) < 0.8)
    whole = search_exact(queries, templates, top_k=top_k, alive=alive)
    parts = search_exact(queries, templates, top_k=top_k, alive=alive, block_rows=block_rows)
    assert np.array_equal(whole.rows, parts.rows)
    assert np.array_equal(whole.scores, parts.scores), "bit by bit"
    alone = search_exact(queries[:1], templates, top_k=top_k, alive=alive)
    assert np.array_equal(alone.scores[0], whole.scores[0])
    assert np.array_equal(alone.rows[0], whole.rows[0])
    assert np.isin(whole.rows, alive).all()
    obvious = _obvious(queries, templates, alive, top_k)
    assert np.allclose(whole.scores, obvious.scores, atol=1e-12)


@pytest.mark.parametrize("block_rows", [0, 7, 64])
def test_people_whom_float32_cannot_tell_apart_are_ranked_all_the_same(block_rows: int) -> None:
    rng = np.random.default_rng(1)
    queries = _unit(rng, 3, 512)
    templates = (queries[:1] + 1e-8 * rng.standard_normal((500, 512))).astype(np.float32)
    found = search_exact(queries, templates, top_k=5, alive=np.arange(500), block_rows=block_rows)
    assert np.array_equal(found.rows, _obvious(queries, templates, np.arange(500), 5).rows)


def test_it_agrees_with_faiss() -> None:
    faiss = pytest.importorskip("faiss")
    rng = np.random.default_rng(3)
    templates, queries = _unit(rng, 500, 64), _unit(rng, 20, 64)
    index = faiss.IndexFlatIP(64)
    index.add(templates)
    scores, rows = index.search(queries, 5)
    found = search_exact(queries, templates, top_k=5, alive=np.arange(500), block_rows=77)
    assert np.array_equal(found.rows, rows)
    assert np.allclose(found.scores, scores, atol=1e-5)


def test_strided_templates_are_searched_where_they_lie() -> None:
    slots = np.zeros(10, dtype=[("other", "<f4", (16,)), ("vector", "<f4", (8,))])
    slots["vector"] = _unit(np.random.default_rng(0), 10, 8)
    found = search_exact(slots["vector"][3:4].copy(), slots["vector"], top_k=1, alive=np.arange(10))
    assert found.rows.tolist() == [[3]]


def test_nobody_to_find() -> None:
    found = search_exact(np.ones((2, 4), np.float32), np.zeros((3, 4), np.float32), top_k=2, alive=np.array([], int))
    assert found.rows.shape == (2, 0)
