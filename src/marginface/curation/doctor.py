"""All examinations of a data set, in one call: copies, wrong names, mixed and doubled people, people of another set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from marginface.curation.copies import exact_copies, near_copies
from marginface.curation.findings import KINDS, Finding
from marginface.curation.names import one_person, two_people, wrong_names
from marginface.curation.people import Marks, Neighbours, direction_sums, marks, neighbours, unit_rows
from marginface.curation.prints import Prints
from marginface.errors import InputError
from marginface.records.embedding_table import EmbeddingTable


@dataclass(frozen=True, kw_only=True)
class DoctorConfig:
    """How sure a finding has to be."""

    stranger_rate: float = 1e-3
    """Share of comparisons of strangers that may pass for one person, 0..1. Smaller finds fewer wrong names, and errs
    less often."""
    typical_rate: float = 0.05
    """Share of right images, and of halves of one person's images, that may fall below what counts as typical, 0..1."""
    least_alike: float = 0.98
    """Correlation of tiny grey pictures from which two images are copies of one picture, 0..1."""
    seed: int = 0
    """Of the comparisons that are drawn to find the scores that separate."""

    def __post_init__(self) -> None:
        for name in ("stranger_rate", "typical_rate"):
            if not 0 < getattr(self, name) < 0.5:
                raise InputError(f"{name} is {getattr(self, name):g}; give a share above 0 and below 0.5.")
        if not 0.5 <= self.least_alike <= 1:
            raise InputError(f"least_alike is {self.least_alike:g}; a correlation of copies lies in 0.5 to 1.")


@dataclass(frozen=True, kw_only=True, eq=False)
class Diagnosis:
    """What was found in a data set."""

    findings: tuple[Finding, ...]
    """By kind in the order of `KINDS`, the surest first."""
    marks: Marks
    near: Neighbours
    """Where each image of the table stands."""
    num_images: int
    num_people: int

    @property
    def counts(self) -> Mapping[str, int]:
        """Findings of each kind; kinds without any are there with 0."""
        found = Counter(f.kind for f in self.findings)
        return {kind: found[kind] for kind in KINDS}


def examine(
    table: EmbeddingTable,
    prints: Prints,
    config: DoctorConfig | None = None,
    *,
    other: tuple[EmbeddingTable, Prints] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Diagnosis:
    """Return what looks wrong in a data set.

    The scores that separate are read from the data itself, so most names have to be right, and the model has to tell
    these people apart: a weak one finds little, rather than much that is false.

    Args:
        table: a model's embeddings of the data set.
        prints: of the same images, in the same order.
        config: how sure a finding has to be.
        other: embeddings by the same model, and prints, of a set that should share nobody with this one.
        progress: called with (images done, images in all) of the longest part.

    Raises:
        InputError: one person or nobody, nobody with two images, or two models.
    """
    config = config or DoctorConfig()
    if len(prints) != len(table):
        raise ValueError(f"{len(prints)} prints beside {len(table)} embeddings; make them of the same images")
    sums = direction_sums(table)
    near = neighbours(table, sums, progress=progress)
    found_marks = marks(
        table, sums, near, stranger_rate=config.stranger_rate, typical_rate=config.typical_rate, seed=config.seed
    )
    findings = exact_copies(table, prints, near) + near_copies(table, prints, near, least_alike=config.least_alike)
    findings += wrong_names(table, near, found_marks)
    singled_out = {f.key for f in findings}
    left_out = np.fromiter((key in singled_out for key in table.keys), np.bool_, count=len(table))
    findings += two_people(table, found_marks, left_out=left_out)
    centres = unit_rows(sums)
    names = table.identities
    findings += [
        Finding(kind="one person, two names", person=names[a], other_person=names[b], score=cos)
        for a, b, cos in one_person(names, centres, names, centres, found_marks)
    ]
    if other is not None:
        findings += _shared(table, prints, other[0], other[1], found_marks)
    order = list(KINDS)
    return Diagnosis(
        findings=tuple(sorted(findings, key=lambda f: (order.index(f.kind), -_sureness(f)))),
        marks=found_marks,
        near=near,
        num_images=len(table),
        num_people=len(names),
    )


def _sureness(finding: Finding) -> float:
    if finding.kind in ("nobody here", "wrong name") and finding.own_score is not None:
        return -finding.own_score
    return -finding.score if finding.kind == "two people" else finding.score


def _shared(
    table: EmbeddingTable, prints: Prints, other: EmbeddingTable, other_prints: Prints, found_marks: Marks
) -> list[Finding]:
    """Return a finding for each image of a person who is in the other set too, and for each picture that is."""
    if table.fingerprint != other.fingerprint:
        raise InputError("The two sets were embedded by two models; their vectors cannot be compared.")
    centres, theirs = unit_rows(direction_sums(table)), unit_rows(direction_sums(other))
    best: dict[int, tuple[int, float]] = {}
    for row, column, cos in one_person(table.identities, centres, other.identities, theirs, found_marks):
        best.setdefault(row, (column, cos))  # the nearest comes first
    where = {digest.tobytes(): i for i, digest in enumerate(other_prints.digest)}
    found = []
    for i, label in enumerate(table.labels.tolist()):
        copy = where.get(prints.digest[i].tobytes())
        if copy is None and label not in best:
            continue
        column, cos = best.get(label, (-1, 1.0))
        found.append(
            Finding(
                kind="in both sets",
                key=table.keys[i],
                person=table.identities[label],
                other_key="" if copy is None else other.keys[copy],
                other_person=other.identities[column if copy is None else int(other.labels[copy])],
                score=1.0 if copy is not None else cos,
            )
        )
    return found
