"""Pictures that stand in a data set more than once: byte for byte, or in another encoding."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from marginface.curation.findings import Finding
from marginface.curation.people import Neighbours, images_of
from marginface.curation.prints import Prints
from marginface.records.embedding_table import EmbeddingTable

_BLOCK = 512


def same_bytes(digest: npt.NDArray[np.void]) -> list[npt.NDArray[np.int64]]:
    """Return the groups of positions that share their bytes, each in ascending order, two or more."""
    order = np.argsort(digest, kind="stable")
    ordered = digest[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    return [np.sort(group) for group in np.split(order, starts[1:]) if len(group) > 1]


def exact_copies(table: EmbeddingTable, prints: Prints, near: Neighbours) -> list[Finding]:
    """Return a finding for each image that repeats another's bytes.

    Of copies under one name the first stays. Of copies under several names the one under the name that fits best
    stays: the one whose cosine to its own person is the largest.

    Args:
        table: embeddings.
        prints: of the same images, in the same order.
        near: where each image stands.
    """
    found = []
    for group in same_bytes(prints.digest):
        fit = np.nan_to_num(near.own[group], nan=-1.0)
        best = int(group[np.argmax(fit)])
        for i in group.tolist():
            one_name = [j for j in group.tolist() if table.labels[j] == table.labels[i]]
            if i == best or (table.labels[i] == table.labels[best] and i == one_name[0] and best not in one_name):
                continue
            kind = "exact copy" if table.labels[i] == table.labels[best] else "one picture, two names"
            found.append(_finding(kind, table, near, i, best, 1.0))
    return found


def near_copies(
    table: EmbeddingTable,
    prints: Prints,
    near: Neighbours,
    *,
    least_alike: float = 0.98,
    least_cos: float = 0.85,
) -> list[Finding]:
    """Return a finding for each image that looks like an earlier one without sharing its bytes.

    Two signs have to agree, since each alone errs: portraits share a layout, and a network sees one person's
    photographs alike. Images are compared within a name, and with those of the nearest other name.

    Args:
        table: embeddings.
        prints: of the same images, in the same order.
        near: where each image stands.
        least_alike: correlation of the tiny pictures, 0..1.
        least_cos: cosine of the embeddings, 0..1.
    """
    found = []
    taken: set[int] = set()
    for left, right in _couples(table, near):
        likely = np.einsum("pd,pd->p", table.unit[left], table.unit[right]) >= least_cos
        left, right = left[likely], right[likely]
        correlations = prints.alike(left, right)
        alike = (correlations >= least_alike) & (prints.digest[left] != prints.digest[right])
        for i, j, correlation in zip(
            left[alike].tolist(), right[alike].tolist(), correlations[alike].tolist(), strict=True
        ):
            first, second = min(i, j), max(i, j)
            one_name = table.labels[first] == table.labels[second]
            worse = second
            if not one_name and np.nan_to_num(near.own[first], nan=-1.0) < np.nan_to_num(near.own[second], nan=-1.0):
                worse = first
            if worse in taken:
                continue
            taken.add(worse)
            kind = "near copy" if one_name else "one picture, two names"
            found.append(_finding(kind, table, near, worse, first + second - worse, correlation))
    return found


def _couples(table: EmbeddingTable, near: Neighbours) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Yield positions of couples: all within a name, and each image with those of its nearest other name."""
    people = images_of(table)
    for own in people:
        for start in range(0, len(own), _BLOCK):
            left, right = np.meshgrid(own[start : start + _BLOCK], own, indexing="ij")
            yield left[left < right], right[left < right]
        for other in np.unique(near.other[own]).tolist():
            visitors = own[(near.other[own] == other) & (near.other_cos[own] > 0.5)]
            if len(visitors):
                left, right = np.meshgrid(visitors, people[other], indexing="ij")
                yield left.ravel(), right.ravel()


def _finding(kind: str, table: EmbeddingTable, near: Neighbours, image: int, other: int, score: float) -> Finding:
    own = float(near.own[image])
    return Finding(
        kind=kind,  # type: ignore[arg-type]
        key=table.keys[image],
        person=table.identities[table.labels[image]],
        other_key=table.keys[other],
        other_person=table.identities[table.labels[other]],
        score=score,
        own_score=None if np.isnan(own) else own,
    )
