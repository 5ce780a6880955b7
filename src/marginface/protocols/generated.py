"""Pairs made from labels: every mated pair, and a seeded sample of the non-mated ones."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.protocols.pairs import Pairs

MOST_PAIRS = 50_000_000
"""Of one kind: beyond it the lists alone take gigabytes."""
NUM_FOLDS = 10


def generated_pairs(
    labels: npt.ArrayLike,
    *,
    num_non_mated: int | Literal["all"] = 100_000,
    max_mated_per_identity: int | None = None,
    seed: int = 0,
    name: str = "generated",
) -> Pairs:
    """Return all mated pairs of a labelled source and a seeded sample of its non-mated pairs, mated ones first.

    Non-mated pairs are drawn uniformly and without replacement from all pairs of images of two different people, so
    that their FMR estimates that of all pairs. (A person with many images therefore appears often; the identity
    bootstrap knows.) Both kinds of pairs are dealt at random into ten folds of equal size and share; where there are
    fewer than ten of a kind there are none. (Folds by person would be as unequal as the people, and the mean over them
    not the accuracy of the pairs; what the folds share is one threshold.)

    Args:
        labels: (N,) identity of each image.
        num_non_mated: at most this many, or "all"; all too where there are fewer. 30 / FMR pairs support an FMR.
        max_mated_per_identity: at most this many mated pairs of one person, drawn at random, so that a person with 600
            images (179,700 pairs) does not speak for everybody; None takes all.
        seed: of all draws; the same labels and seed give the same pairs.

    Raises:
        InputError: fewer than two identities, nobody with two images, or more pairs than memory should hold.
    """
    label_of = np.asarray(labels)
    people, person_of, images_of = np.unique(label_of, return_inverse=True, return_counts=True)
    if len(people) < 2:
        raise InputError(f"Non-mated pairs need at least two identities; this source has {len(people)}.")
    if images_of.max() < 2:
        raise InputError("Mated pairs need a person with two images; in this source nobody has more than one.")
    order = np.argsort(person_of, kind="stable")
    mated = _mated(order, images_of, max_mated_per_identity, np.random.default_rng((seed, 0)))
    num_all = (len(label_of) ** 2 - int(np.square(images_of).sum())) // 2
    wanted = num_all if num_non_mated == "all" else min(num_non_mated, num_all)
    if wanted < 1:
        raise InputError(f"num_non_mated must be at least 1, got {num_non_mated}.")
    non_mated = _non_mated(person_of, wanted, num_all, np.random.default_rng((seed, 1)))

    left, right = np.concatenate([mated, non_mated], axis=1)
    fold = None
    if min(mated.shape[1], wanted) >= NUM_FOLDS:
        rng = np.random.default_rng((seed, 2))
        fold = np.concatenate([rng.permutation(count) % NUM_FOLDS for count in (mated.shape[1], wanted)])
    return Pairs(name, left, right, person_of[left] == person_of[right], fold)


def _mated(
    order: npt.NDArray[np.int64], images_of: npt.NDArray[np.int64], most: int | None, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return (2, M) positions; `order` holds the images person by person."""
    counts = images_of * (images_of - 1) // 2
    _refuse_too_many(
        int((counts if most is None else np.minimum(counts, most)).sum()), "mated", "max_mated_per_identity"
    )
    starts = np.cumsum(images_of) - images_of
    blocks = []
    for start, size in zip(starts.tolist(), images_of.tolist(), strict=True):
        if size < 2:
            continue
        pairs = np.stack(np.triu_indices(size, 1))
        if most is not None and pairs.shape[1] > most:
            pairs = pairs[:, np.sort(rng.choice(pairs.shape[1], most, replace=False))]
        blocks.append(order[start + pairs])
    return np.sort(np.concatenate(blocks, axis=1), axis=0)


def _non_mated(
    person_of: npt.NDArray[np.int64], wanted: int, num_all: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return (2, wanted) positions, left < right, in ascending order."""
    _refuse_too_many(wanted, "non-mated", "num_non_mated")
    num_images = len(person_of)
    if wanted > num_all // 2 and num_images**2 <= 4 * MOST_PAIRS:
        left, right = np.triu_indices(num_images, 1)
        codes = (left * num_images + right)[person_of[left] != person_of[right]]
        if wanted < num_all:
            codes = np.sort(rng.choice(codes, wanted, replace=False))
    else:
        codes = _drawn(person_of, wanted, rng)
    return np.stack(np.divmod(codes, num_images))


def _drawn(person_of: npt.NDArray[np.int64], wanted: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw couples of images until `wanted` different non-mated ones are found: uniform without replacement."""
    num_images = len(person_of)
    codes = np.empty(0, np.int64)
    while len(codes) < wanted:
        couples = np.sort(rng.integers(num_images, size=(2, 2 * (wanted - len(codes)) + 1000)), axis=0)
        fresh = couples[:, person_of[couples[0]] != person_of[couples[1]]]
        codes = np.concatenate([codes, fresh[0] * num_images + fresh[1]])
        _, first = np.unique(codes, return_index=True)
        codes = codes[np.sort(first)]  # in the order of drawing, so that cutting the surplus favours no image
    return np.sort(codes[:wanted])


def _refuse_too_many(count: int, kind: str, setting: str) -> None:
    if count > MOST_PAIRS:
        raise InputError(f"This source would give {count:,} {kind} pairs; {MOST_PAIRS:,} are the limit: set {setting}.")
