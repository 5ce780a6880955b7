"""Approximate search, and what it is measured to miss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.search.approximate import HnswConfig, IvfConfig, build_index, queries_at, search_approximate
from marginface.search.exact import search_exact
from marginface.search.operating_point import fnir_with_recall
from tests.search.made_up import faces_of, hand_over, new_gallery

pytest.importorskip("faiss")


def _templates(num: int, dim: int = 24) -> np.ndarray:
    rows = np.random.default_rng(5).standard_normal((num, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_queries_at_a_score_have_that_score() -> None:
    templates = _templates(50)
    queries = queries_at(0.37, templates)
    assert np.allclose((queries * templates).sum(axis=1), 0.37, atol=1e-6)
    assert np.allclose(np.linalg.norm(queries, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("config", [HnswConfig(), IvfConfig(num_probed=16)])
def test_scores_are_those_of_exact_search(config: HnswConfig | IvfConfig) -> None:
    templates, alive = _templates(400), np.arange(400)
    queries = queries_at(0.9, templates[:40])
    index = build_index(config, templates, alive=alive, sequence=1)
    newer = np.array([], dtype=np.int64)
    found = search_approximate(index, queries, templates, top_k=3, alive=alive, newer=newer)
    exact = search_exact(queries, templates, top_k=3, alive=alive)
    assert np.array_equal(found.rows[:, 0], exact.rows[:, 0])
    same = found.rows == exact.rows
    assert np.array_equal(found.scores[same], exact.scores[same])
    assert same.mean() > 0.9


def test_who_left_is_not_found_and_who_came_is() -> None:
    templates = _templates(60)
    index = build_index(HnswConfig(), templates, alive=np.arange(50), sequence=1)
    alive = np.arange(10, 60)
    found = search_approximate(index, templates, templates, top_k=4, alive=alive, newer=np.arange(50, 60))
    assert np.isin(found.rows, alive).all()
    assert np.array_equal(found.rows[50:, 0], np.arange(50, 60))


def test_a_place_that_nobody_takes_is_empty() -> None:
    """An index that looks into one cell only may bring up fewer people than were asked for."""
    templates = _templates(40)
    index = build_index(IvfConfig(num_cells=20, num_probed=1), templates, alive=np.arange(40), sequence=1)
    found = search_approximate(
        index, templates, templates, top_k=20, alive=np.arange(40), newer=np.array([], dtype=np.int64)
    )
    assert (found.rows == -1).any()
    assert np.isneginf(found.scores[found.rows == -1]).all()


def test_the_recall_of_a_careless_index_is_measured_and_said(tmp_path: Path) -> None:
    with new_gallery(tmp_path / "team.db", thresholds=()) as gallery:
        hand_over(gallery, 60)
        careless = gallery.build_index(IvfConfig(num_cells=30, num_probed=1), threshold=0.5)
        assert 0.05 < careless.value < 0.95
        assert careless.num_queries == 60
        assert careless.interval.low < careless.value < careless.interval.high
        result = gallery.search(faces_of(3), threshold=0.5)[0]
        assert result.point.recall == careless.value
        assert "index misses" in result.point.words()
        careful = gallery.build_index(IvfConfig(num_cells=30, num_probed=30), threshold=0.5)
        assert careful.value == 1.0
        gallery.enrol("latecomer", faces_of(1000))
        assert gallery.search(faces_of(1000), threshold=0.5)[0].name == "latecomer"
        gallery.remove("person 3")
        assert gallery.search(faces_of(3), threshold=0.5)[0].name is None


def test_nobody_to_index(tmp_path: Path) -> None:
    with new_gallery(tmp_path / "team.db") as gallery, pytest.raises(InputError, match="nobody is enrolled"):
        gallery.build_index(HnswConfig())


def test_fnir_takes_in_what_the_index_misses() -> None:
    assert fnir_with_recall(0.1, 0.99) == pytest.approx(1 - 0.9 * 0.99)
    assert fnir_with_recall(0.1, 1.0) == pytest.approx(0.1)
