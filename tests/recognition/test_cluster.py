"""Average linkage: against scikit-learn, whatever the order, and with two faces of one photograph kept apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import AgglomerativeClustering

from marginface.recognition.cluster import cluster


def units(num: int, dim: int, seed: int, *, spread: float = 0.7) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(1, num // 4), dim))
    vectors = centres[rng.integers(0, len(centres), num)] + spread * rng.normal(size=(num, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def as_sets(group: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(group == g).tolist()) for g in np.unique(group)}


@given(num=st.integers(2, 40), seed=st.integers(0, 10_000), threshold=st.floats(0.05, 0.9))
@settings(max_examples=60, deadline=None)
def test_groups_are_those_of_average_linkage_over_all_pairs(num: int, seed: int, threshold: float) -> None:
    vectors = units(num, 6, seed)
    group, names = cluster(vectors, threshold)
    oracle = AgglomerativeClustering(
        n_clusters=None, metric="cosine", linkage="average", distance_threshold=1 - threshold
    ).fit_predict(vectors.astype(np.float64))
    assert as_sets(group) == as_sets(oracle)
    assert names == {}


@given(num=st.integers(1, 30), seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_the_order_of_the_faces_changes_no_group_and_the_largest_comes_first(num: int, seed: int) -> None:
    vectors = units(num, 5, seed)
    shuffled = np.random.default_rng(seed).permutation(num)
    group, other = cluster(vectors, 0.5)[0], cluster(vectors[shuffled], 0.5)[0]
    assert {frozenset(shuffled[list(s)].tolist()) for s in as_sets(other)} == as_sets(group)
    sizes = np.bincount(group)
    assert (np.diff(sizes) <= 0).all()


@given(num=st.integers(2, 30), seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_two_faces_of_one_photograph_are_two_people(num: int, seed: int) -> None:
    photographs = [f"{i // 2}.jpg" for i in range(num)]
    group, _ = cluster(units(num, 4, seed, spread=0.2), 0.3, photographs=photographs)
    for members in as_sets(group):
        assert len({photographs[i] for i in members}) == len(members)


def test_faces_in_place_stay_and_others_join_the_likeliest_of_them() -> None:
    angles = np.radians([0, 80, 10, 70, 40, 180, 181])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    group, names = cluster(vectors, 0.9, named={0: "Ada", 1: "Bob"})
    assert {names[int(group[i])] for i in (0, 2)} == {"Ada"}
    assert {names[int(group[i])] for i in (1, 3)} == {"Bob"}
    assert int(group[4]) not in names
    assert group[5] == group[6]
    both = cluster(vectors[:2], -1.0, named={0: "Ada", 1: "Bob"})[0]
    assert both[0] != both[1]
    together = cluster(vectors[[0, 5]], 0.9, named={0: "Ada", 1: "Ada"})[0]
    assert together[0] == together[1]


def test_of_two_faces_in_one_photograph_the_likelier_one_joins() -> None:
    angles = np.radians([0, 20, 5])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    group, names = cluster(vectors, 0.9, photographs=["a", "b", "b"], named={0: "Ada"})
    assert names[int(group[2])] == "Ada"
    assert int(group[1]) not in names


def test_nothing_and_one_face() -> None:
    assert cluster(np.empty((0, 4), np.float32), 0.5)[0].tolist() == []
    assert cluster(np.array([[1, 0]], np.float32), 0.5)[0].tolist() == [0]


@pytest.mark.slow
def test_ten_thousand_faces_are_sorted_in_seconds() -> None:
    group, _ = cluster(units(10_000, 64, 0, spread=0.3), 0.5)
    assert group.max() + 1 > 1000
