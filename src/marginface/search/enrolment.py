"""Who may come in: good enough images, of somebody who is not here already under another name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.search.pooling import pool
from marginface.search.settings import GallerySettings, Person, Samples, Vectors, new_id
from marginface.search.store import Store, Writer


@dataclass(frozen=True, eq=False)
class Applicant:
    """Somebody to enrol."""

    name: str
    samples: Samples
    too_poor: tuple[int, ...]
    """Which of the given images are below the minimum quality."""


@dataclass(frozen=True)
class Enrolment:
    """What became of somebody's images."""

    name: str
    person_id: str
    """Empty where the person was refused."""
    num_images: int
    """Added now."""
    images_in_all: int
    too_poor: tuple[int, ...] = ()
    """Positions of the images that were left out, being below the minimum quality."""
    refusal: str = ""
    """Why nothing was enrolled, a sentence; empty where something was."""
    duplicate_of: str | None = None
    """Who looks alike, where that was the reason."""


def make_samples(
    settings: GallerySettings,
    vectors: npt.ArrayLike,
    *,
    qualities: npt.ArrayLike | None = None,
    crops: Sequence[bytes] | None = None,
) -> Samples:
    """Return embeddings (n, D), as the model gave them, normalised; without `qualities` the norm is the quality.

    Raises:
        InputError: another dimension, values that are not finite, a vector of length 0.
    """
    rows = np.asarray(vectors, dtype=np.float32)
    rows = rows[None] if rows.ndim == 1 else rows
    if rows.ndim != 2 or rows.shape[1] != settings.embedding_dim:
        raise InputError(
            f"the vectors have shape {np.shape(vectors)}; this gallery takes (n, {settings.embedding_dim}), as "
            f"{settings.model or 'its model'} makes them."
        )
    norms = np.sqrt(np.square(rows, dtype=np.float64).sum(axis=1))
    unusable = np.flatnonzero(~np.isfinite(norms) | (norms <= 0))
    if len(unusable):
        raise InputError(f"vector {unusable[0]} is zero or not finite; no face was embedded there.")
    values = norms if qualities is None else np.asarray(qualities, dtype=np.float64)
    if values.shape != norms.shape or not np.isfinite(values).all():
        raise InputError(
            f"qualities have shape {values.shape}; one finite number is wanted for each of {len(rows)} vectors."
        )
    pictures = (None,) * len(rows) if crops is None else tuple(crops)
    if len(pictures) != len(rows):
        raise InputError(f"{len(pictures)} crops came with {len(rows)} vectors; they go together one by one.")
    unit = np.asarray(rows / norms[:, None], dtype=np.float32)
    return Samples(unit, values.astype(np.float32), norms.astype(np.float32), pictures)


def make_applicant(
    settings: GallerySettings,
    name: str,
    vectors: npt.ArrayLike,
    qualities: npt.ArrayLike | None = None,
    crops: Sequence[bytes] | None = None,
) -> Applicant:
    """Return somebody with the images that are good enough.

    Raises:
        InputError: what came does not fit the gallery's settings.
    """
    if (qualities is None) != (settings.quality == "norm"):
        wanted = (
            "is the norm, which the vectors tell; give no qualities"
            if qualities is not None
            else (f"is {settings.quality!r}; give its value for each vector (qualities=)")
        )
        raise InputError(f"the quality of this gallery {wanted}.")
    if crops is not None and not settings.policy.keep_crops:
        raise InputError("this gallery keeps no crops (keep_crops was not asked for when it was made); give none.")
    if crops is None and settings.policy.keep_crops:
        raise InputError("this gallery keeps crops; give the aligned crop of each vector (crops=).")
    samples = make_samples(settings, vectors, qualities=qualities, crops=crops)
    good = samples.qualities >= settings.policy.minimum_quality
    kept = np.flatnonzero(good)
    return Applicant(name, _take(samples, kept), tuple(np.flatnonzero(~good).tolist()))


def admit(
    store: Store, writer: Writer, applicants: Sequence[Applicant], *, replace: bool, allow_duplicates: bool
) -> list[Enrolment]:
    """Enrol those who may, inside one write; return what became of each, in order."""
    known = [writer.find(applicant.name) for applicant in applicants]
    templates = np.zeros((len(applicants), store.settings.embedding_dim), dtype=np.float32)
    for i, (applicant, person) in enumerate(zip(applicants, known, strict=True)):
        if len(applicant.samples):
            templates[i] = _pooled(
                applicant.samples, store.samples(person.person_id) if person and not replace else None
            )
    limit = None if allow_duplicates else store.settings.duplicate_score
    alike = [("", -1.0)] * len(applicants) if limit is None else _most_alike(store, applicants, templates)
    among = templates.astype(np.float64) @ templates.astype(np.float64).T
    outcomes: list[Enrolment] = []
    admitted: list[int] = []
    for i, applicant in enumerate(applicants):
        other, score = max(alike[i], _most_alike_before(applicants, among[i], admitted), key=lambda pair: pair[1])
        if not len(applicant.samples):
            outcomes.append(_too_poor(applicant, store.settings))
        elif limit is not None and score >= limit:
            outcomes.append(_duplicate(applicant, other, score))
        else:
            outcomes.append(_write(writer, applicant, known[i], templates[i], replace=replace))
            admitted.append(i)
    return outcomes


def _pooled(new: Samples, older: Samples | None) -> Vectors:
    if older is None:
        return pool(new.unit, new.qualities)
    return pool(np.concatenate([older.unit, new.unit]), np.concatenate([older.qualities, new.qualities]))


def _most_alike(store: Store, applicants: Sequence[Applicant], templates: Vectors) -> list[tuple[str, float]]:
    """Return for each the most alike person of the gallery who has another name."""
    found, names = store.search(templates, top_k=2)  # the best may be the person's own older template
    alike = []
    for applicant, rows, scores in zip(applicants, found.rows.tolist(), found.scores.tolist(), strict=True):
        others = [(names[r], s) for r, s in zip(rows, scores, strict=True) if r >= 0 and names[r] != applicant.name]
        alike.append(others[0] if others else ("", -1.0))
    return alike


def _most_alike_before(
    applicants: Sequence[Applicant], scores: npt.NDArray[np.float64], admitted: list[int]
) -> tuple[str, float]:
    """Return the most alike of those admitted in the same write; `scores` are those with all applicants."""
    if not admitted:
        return "", -1.0
    best = max(admitted, key=lambda i: float(scores[i]))
    return applicants[best].name, float(scores[best])


def _too_poor(applicant: Applicant, settings: GallerySettings) -> Enrolment:
    why = (
        f"{applicant.name!r} was not enrolled: none of {len(applicant.too_poor)} images reaches quality "
        f"{settings.policy.minimum_quality:g} ({settings.quality}); take better ones."
    )
    return Enrolment(applicant.name, "", 0, 0, applicant.too_poor, why)


def _duplicate(applicant: Applicant, other: str, score: float) -> Enrolment:
    why = (
        f"{applicant.name!r} was not enrolled: these images look like {other!r} (score {score:.3f}). Is it the same "
        "person? Then enrol under that name; if not, allow the duplicate."
    )
    return Enrolment(applicant.name, "", 0, 0, applicant.too_poor, why, other)


def _write(
    writer: Writer, applicant: Applicant, known: Person | None, template: Vectors, *, replace: bool
) -> Enrolment:
    person_id = new_id() if known is None else known.person_id
    added = len(applicant.samples)
    in_all = added if known is None or replace else known.num_images + added
    detail = {"images": added, "images_in_all": in_all, "too_poor": len(applicant.too_poor), "replaced": replace}
    sequence = writer.log("enrol", person_id, detail)
    writer.put(Person(person_id, applicant.name, in_all, sequence), applicant.samples, template, replace=replace)
    return Enrolment(applicant.name, person_id, added, in_all, applicant.too_poor)


def _take(samples: Samples, rows: npt.NDArray[np.int64]) -> Samples:
    crops = tuple(samples.crops[i] for i in rows)
    return Samples(samples.unit[rows], samples.qualities[rows], samples.norms[rows], crops)
