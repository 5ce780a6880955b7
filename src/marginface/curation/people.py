"""How near each image is to its own person and to the others, and what scores strangers and one person reach here.

Letters: N images, C people, D embedding. A centre is the mean direction of a person's images. An image is compared with
its own person's centre as it would be without the image (leave one out), since a person of two images would otherwise
always look right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from marginface.errors import InputError
from marginface.records.embedding_table import EmbeddingTable

_ROWS = 2048
"""Images a block of products."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Where each image stands among the people."""

    own: Floats
    """(N,) cosine to the centre of its own person's other images; NaN where there are none."""
    other: npt.NDArray[np.int64]
    """(N,) the nearest other person."""
    other_cos: Floats
    """(N,) cosine to that person's centre."""


def images_of(table: EmbeddingTable) -> list[npt.NDArray[np.int64]]:
    """Return the positions of each person's images, (C,) arrays in ascending order."""
    counts = np.bincount(table.labels, minlength=len(table.identities))
    return np.split(np.argsort(table.labels, kind="stable"), np.cumsum(counts)[:-1])


def direction_sums(table: EmbeddingTable) -> npt.NDArray[np.float64]:
    """Return (C, D) sums of the unit embeddings of each person; zero for people without an image."""
    return _summed(table, np.argsort(table.labels, kind="stable"))


def _summed(table: EmbeddingTable, order: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return (C, D) sums over the positions in `order`, which are sorted by label; in blocks, for memory's sake."""
    sums = np.zeros((len(table.identities), table.embedding_dim))
    for start in range(0, len(order), _ROWS):
        rows = order[start : start + _ROWS]
        labels = table.labels[rows]
        starts = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]])
        sums[labels[starts]] += np.add.reduceat(table.unit[rows].astype(np.float64), starts, axis=0)
    return sums


def unit_rows(rows: npt.NDArray[np.floating]) -> Floats:
    """Return the rows at length 1; rows of zeros stay zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)


def neighbours(
    table: EmbeddingTable,
    sums: npt.NDArray[np.float64],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Neighbours:
    """Return where each image stands, by blocks of products with all centres: N C D multiply-adds.

    Args:
        table: embeddings with labels.
        sums: `direction_sums(table)`.
        progress: called with (images done, images in all).

    Raises:
        InputError: fewer than two people.
    """
    if len(table.identities) < 2:
        raise InputError("The embeddings are of one person or nobody; wrong names show only among several people.")
    centres = unit_rows(sums)
    counts = np.bincount(table.labels, minlength=len(centres))
    own = np.empty(len(table), np.float32)
    other = np.empty(len(table), np.int64)
    other_cos = np.empty(len(table), np.float32)
    for start in range(0, len(table), _ROWS):
        part = slice(start, start + _ROWS)
        unit, labels = table.unit[part], table.labels[part]
        rest = unit_rows(sums[labels] - unit)
        own[part] = np.where(counts[labels] > 1, np.einsum("nd,nd->n", rest, unit), np.nan)
        cos = unit @ centres.T
        cos[np.arange(len(unit)), labels] = -2.0
        other[part] = cos.argmax(axis=1)
        other_cos[part] = cos[np.arange(len(unit)), other[part]]
        if progress is not None:
            progress(min(start + _ROWS, len(table)), len(table))
    return Neighbours(own, other, other_cos)


@dataclass(frozen=True, kw_only=True)
class Marks:
    """Scores that separate here, read from this data and this model."""

    stranger: float
    """Cosine of an image to a centre that a share of `stranger_rate` of strangers reaches: below it, nothing says that
    the image shows that person."""
    typical: float
    """Cosine to their own centre that all but a share of `typical_rate` of the images reach."""
    stranger_centres: float
    """The same as `stranger` for the centres of two people, half of their images each."""
    same_centres: float
    """Cosine from which the centres of two names are those of one person: what all but `typical_rate` of the people
    reach between two halves of their own images, and never within what strangers' centres reach."""


def marks(
    table: EmbeddingTable,
    sums: npt.NDArray[np.float64],
    near: Neighbours,
    *,
    stranger_rate: float,
    typical_rate: float,
    seed: int = 0,
    num_drawn: int = 500_000,
) -> Marks:
    """Return the scores that separate, assuming that most names are right.

    Args:
        table: embeddings with labels.
        sums: `direction_sums(table)`.
        near: `neighbours(table, sums)`.
        stranger_rate: share of comparisons of strangers that may reach `stranger`, 0..1.
        typical_rate: share of right images that may stay below `typical`, 0..1.
        seed: of the drawn comparisons.
        num_drawn: comparisons of strangers.

    Raises:
        InputError: nobody has two images.
    """
    rng = np.random.default_rng((seed, 0))
    right = near.own[~np.isnan(near.own)]
    if not right.size:
        raise InputError("Nobody has two images, so no name can be checked; only copies and shared people show.")
    images = rng.integers(len(table), size=num_drawn)
    people = rng.integers(len(table.identities), size=num_drawn)
    counts = np.bincount(table.labels, minlength=len(table.identities))
    strangers = (table.labels[images] != people) & (counts[people] > 0)
    images, people = images[strangers], people[strangers]
    centres = unit_rows(sums)
    to_strangers = _cosines(table.unit, images, centres, people)
    halves = _halves(table, rng)
    between = _strange_halves(halves, rng, num_drawn)
    same = np.einsum("cd,cd->c", halves[0], halves[1]) if len(halves[0]) else np.empty(0, np.float32)
    return Marks(
        stranger=reached_by(to_strangers, stranger_rate),
        typical=float(np.quantile(right, typical_rate)),
        stranger_centres=reached_by(between, stranger_rate),
        same_centres=max(float(np.quantile(same, typical_rate)), reached_by(between, stranger_rate / 100))
        if same.size
        else 1.0,
    )


def reached_by(scores: Floats, rate: float) -> float:
    """Return the score that a share of `rate` of strangers reaches; 1 where there are no scores.

    The quantile, but no more than what a normal distribution of the same median and median deviation reaches at a
    hundredth of the rate. Among few people the couples that are one person under two names would set the mark
    otherwise; real strangers' tails are heavier than normal, though by less than that.

    Args:
        scores: comparisons of what most names say are strangers.
        rate: 0..1.
    """
    if not scores.size:
        return 1.0
    median = float(np.median(scores))
    deviation = 1.4826 * float(np.median(np.abs(scores - median)))
    return min(float(np.quantile(scores, 1 - rate)), median + deviation * float(ndtri(1 - rate / 100)))


def _halves(table: EmbeddingTable, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return the centres of two random halves of the images of everybody who has four or more, (C', D) each."""
    order = rng.permutation(len(table))
    order = order[np.argsort(table.labels[order], kind="stable")]
    counts = np.bincount(table.labels, minlength=len(table.identities))
    starts = np.cumsum(counts) - counts
    place = np.arange(len(order)) - np.repeat(starts, counts)
    enough = counts >= 4
    first, second = (unit_rows(_summed(table, order[place % 2 == side])[enough]) for side in (0, 1))
    return first, second


def _strange_halves(halves: tuple[Floats, Floats], rng: np.random.Generator, num_drawn: int) -> Floats:
    num = len(halves[0])
    if num < 2:
        return np.empty(0, np.float32)
    left, right = rng.integers(num, size=(2, num_drawn))
    differ = left != right
    return _cosines(halves[0], left[differ], halves[1], right[differ])


def _cosines(left: Floats, rows: npt.NDArray[np.int64], right: Floats, columns: npt.NDArray[np.int64]) -> Floats:
    found = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _ROWS):
        part = slice(start, start + _ROWS)
        np.einsum("pd,pd->p", left[rows[part]], right[columns[part]], out=found[part])
    return found
