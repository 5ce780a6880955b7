"""Names that do not fit: images of somebody else, two people under one name, one person under two."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from marginface.curation.findings import Finding
from marginface.curation.people import Floats, Marks, Neighbours, images_of, unit_rows
from marginface.records.embedding_table import EmbeddingTable

SMALLEST_GROUP = 2
"""Images; a single one is a wrong name, not a second person."""


def wrong_names(table: EmbeddingTable, near: Neighbours, marks: Marks) -> list[Finding]:
    """Return a finding for each image that its own name does not explain.

    An image is doubtful where it is no nearer to its person's other images than strangers are (`marks.stranger`). It is
    then another person's, where it is as near to them as right images are (`marks.typical`), and nobody's otherwise.

    Args:
        table: embeddings with labels.
        near: where each image stands.
        marks: the scores that separate.
    """
    doubtful = np.flatnonzero(near.own < marks.stranger)  # NaN, of people with one image, is not
    belongs = near.other_cos[doubtful] >= max(marks.typical, marks.stranger)
    found = []
    for i, elsewhere in zip(doubtful.tolist(), belongs.tolist(), strict=True):
        found.append(
            Finding(
                kind="wrong name" if elsewhere else "nobody here",
                key=table.keys[i],
                person=table.identities[table.labels[i]],
                other_person=table.identities[near.other[i]] if elsewhere else "",
                score=float(near.other_cos[i]),
                own_score=float(near.own[i]),
            )
        )
    return found


def two_people(table: EmbeddingTable, marks: Marks, *, left_out: npt.NDArray[np.bool_]) -> list[Finding]:
    """Return a finding for each image of the smaller of two groups, where a name has two that are strangers.

    The images of a name are parted into two groups by direction (two-means from the least alike couple). They are two
    people where the groups' centres are no nearer than those of two strangers (`marks.stranger_centres`).

    Args:
        table: embeddings with labels.
        marks: the scores that separate.
        left_out: (N,) images that are found wrong already: copies and single strays.
    """
    found = []
    for name, everything in zip(table.identities, images_of(table), strict=True):
        images = everything[~left_out[everything]]
        if len(images) < 2 * SMALLEST_GROUP:
            continue
        second, cos = parted(table.unit[images])
        small = second if 2 * second.sum() <= len(second) else ~second
        if small.sum() < SMALLEST_GROUP or cos >= marks.stranger_centres:
            continue
        found += [Finding(kind="two people", key=table.keys[i], person=name, score=cos) for i in images[small].tolist()]
    return found


def parted(unit: Floats, *, num_rounds: int = 20) -> tuple[npt.NDArray[np.bool_], float]:
    """Return which rows belong to the second of two groups, and the cosine of the groups' centres.

    Two-means on the sphere, begun at the least alike couple of the rows (of up to 256, evenly taken).

    Args:
        unit: (M, D) of length 1, two or more.
        num_rounds: at most; it stops where nothing moves.
    """
    some = unit[np.linspace(0, len(unit) - 1, min(len(unit), 256)).astype(int)]
    cos = some @ some.T
    first, last = np.unravel_index(int(cos.argmin()), cos.shape)
    centres = np.stack([some[first], some[last]])
    second = np.zeros(len(unit), np.bool_)
    for _ in range(num_rounds):
        before = second
        second = unit @ centres[1] > unit @ centres[0]
        if second.all() or not second.any():
            return second, 1.0
        centres = unit_rows(np.stack([unit[~second].mean(axis=0), unit[second].mean(axis=0)]))
        if (second == before).all():
            break
    return second, float(centres[0] @ centres[1])


def one_person(
    names: tuple[str, ...], centres: Floats, others: tuple[str, ...], their_centres: Floats, marks: Marks
) -> list[tuple[int, int, float]]:
    """Return (row, row, cosine) of the centres that are one person's, by falling cosine.

    Args:
        names: (C,) of the first set.
        centres: (C, D) of length 1.
        others: (C',) of the second set; the same tuple for couples within one set, which are then given once.
        their_centres: (C', D) of length 1.
        marks: the scores that separate; `marks.same_centres` decides.
    """
    within = names is others
    found = []
    block = 1024
    for start in range(0, len(centres), block):
        cos = centres[start : start + block] @ their_centres.T
        rows, columns = np.nonzero(cos >= marks.same_centres)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            if not within or start + row < column:
                found.append((start + row, column, float(cos[row, column])))
    return sorted(found, key=lambda couple: -couple[2])
