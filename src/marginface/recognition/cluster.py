"""Faces of an album -> people: average-linkage clustering of cosine scores at a calibrated threshold.

Two groups become one as long as the mean score between their faces is the highest of all pairs of groups and reaches
the threshold (UPGMA: Sokal and Michener 1958). One chance likeness does not chain two people together, as it does when
connected faces alone are taken for one person. The result depends on nothing random and on no order of the photographs.

Every merge needs one pair at the threshold, so that groups never leave a connected component of the graph of such
pairs. The components are found first, with scores by blocks; only within a component are all pairs held. Two faces of
one photograph are two people: they are never put together.

People who were named by hand are never changed. The other faces are grouped among themselves, and a group joins the
named person with whom its mean score is the highest, where that reaches the threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_FACES_A_BLOCK = 2048
_NEVER = 1e12
"""A distance that no averaging over a component brings below the cut."""


def cluster(
    units: npt.NDArray[np.float32],
    threshold: float,
    *,
    photographs: Sequence[str] | None = None,
    named: Mapping[int, str] | None = None,
) -> tuple[npt.NDArray[np.int64], dict[int, str]]:
    """Return the group of each face, and the names of the groups that have one.

    Args:
        units: (N, D) embeddings of length 1.
        threshold: mean score from which two groups are one person.
        photographs: (N,) where each face is from; faces of one photograph stay apart.
        named: {face: name} of the faces that a person put in place.

    Returns:
        (N,) groups 0..G-1, the largest first and equal ones in the order of their first face; {group: name}.
    """
    num = len(units)
    names = dict(named or {})
    people = sorted(set(names.values()))
    group = np.full(num, -1, dtype=np.int64)
    for face, name in names.items():
        group[face] = people.index(name)
    free = np.flatnonzero(group < 0)
    photograph_of = (
        np.unique(np.array(photographs), return_inverse=True)[1] if photographs is not None else np.arange(num)
    )
    found = _grouped(units[free], threshold, photograph_of[free])
    group[free] = found + len(people)
    if people:
        _join_named(units, threshold, photograph_of, group, len(people))
    return _in_order(group, people)


def _grouped(
    units: npt.NDArray[np.float32], threshold: float, photograph_of: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return (N,) groups by average linkage within each connected component."""
    components = _components(units, threshold)
    group = np.empty(len(units), dtype=np.int64)
    start = 0
    order = np.argsort(components, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(components[order])) + 1) if len(units) else []:
        within = _average_linkage(units[members], threshold, photograph_of[members])
        group[members] = within + start
        start += int(within.max()) + 1
    return group


def _components(units: npt.NDArray[np.float32], threshold: float) -> npt.NDArray[np.int64]:
    rows, columns = [], []
    for start in range(0, len(units), _FACES_A_BLOCK):
        block = units[start : start + _FACES_A_BLOCK] @ units[start:].T  # pairs behind the block's own start
        row, column = np.nonzero(block >= threshold - 1e-6)  # rounding of the product must not cost a merge
        rows.append(row + start)
        columns.append(column + start)
    if not rows:
        return np.empty(0, dtype=np.int64)
    edges = (np.concatenate(rows), np.concatenate(columns))
    graph = coo_array((np.ones(len(edges[0]), dtype=np.int8), edges), shape=(len(units), len(units)))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _average_linkage(
    units: npt.NDArray[np.float32], threshold: float, photograph_of: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    num = len(units)
    if num == 1:
        return np.zeros(1, dtype=np.int64)
    distances = 1.0 - (units @ units.T).astype(np.float64)
    distances[photograph_of[:, None] == photograph_of[None, :]] = _NEVER
    merges = linkage(np.maximum(distances[np.triu_indices(num, 1)], 0.0), method="average")
    return np.asarray(fcluster(merges, 1.0 - threshold, criterion="distance"), dtype=np.int64) - 1


def _join_named(
    units: npt.NDArray[np.float32],
    threshold: float,
    photograph_of: npt.NDArray[np.int64],
    group: npt.NDArray[np.int64],
    num_people: int,
) -> None:
    """Give the groups behind the named people to them, in `group`, where the mean score reaches the threshold.

    The mean of all scores between two groups is the dot product of their mean vectors. Groups are asked from the best
    score down, so that of two faces of one photograph the likelier one joins.
    """
    sums = np.zeros((int(group.max()) + 1, units.shape[1]), dtype=np.float64)
    np.add.at(sums, group, units)
    means = sums / np.bincount(group)[:, None]
    scores = means[num_people:] @ means[:num_people].T  # (others, people)
    likely = np.flatnonzero(scores.max(axis=1, initial=-1.0) >= threshold)
    for i in likely[np.argsort(-scores[likely].max(axis=1), kind="stable")]:
        g = i + num_people
        for person in np.argsort(-scores[i], kind="stable"):
            if scores[i, person] < threshold:
                break
            if not np.isin(photograph_of[group == g], photograph_of[group == person]).any():
                group[group == g] = person
                break


def _in_order(group: npt.NDArray[np.int64], people: Sequence[str]) -> tuple[npt.NDArray[np.int64], dict[int, str]]:
    present, first, counts = np.unique(group, return_index=True, return_counts=True)
    order = sorted(range(len(present)), key=lambda i: (-int(counts[i]), int(first[i])))
    new = {int(present[i]): rank for rank, i in enumerate(order)}
    renumbered = np.array([new[int(g)] for g in group], dtype=np.int64)
    return renumbered, {new[i]: name for i, name in enumerate(people) if i in new}
