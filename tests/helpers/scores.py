"""Made-up comparisons: bells, and bells of pairs that share people."""

from __future__ import annotations

import numpy as np


def bells(num_mated=300, num_non_mated=400, *, gap=2.0, seed=0, decimals=None):
    """Return (scores, mated) of two unit normals whose means are `gap` apart, in shuffled order."""
    rng = np.random.default_rng(seed)
    scores = np.concatenate([rng.normal(gap, 1, num_mated), rng.normal(0, 1, num_non_mated)])
    mated = np.arange(num_mated + num_non_mated) < num_mated
    order = rng.permutation(len(scores))
    scores = scores[order] if decimals is None else scores[order].round(decimals)
    return scores, mated[order]


def people_pairs(rng, *, num_people=40, mated_each=4, num_non_mated=600, person_noise=0.6, gap=2.5):
    """Return (scores, mated, left, right) of pairs that share people.

    Each score is a unit normal around its kind's mean; of its variance, `person_noise` ** 2 comes from the people in
    the pair, the same in all their pairs.
    """
    mated_habit, non_mated_habit = rng.normal(0, person_noise, num_people), rng.normal(0, person_noise, num_people)
    person = np.repeat(np.arange(num_people), mated_each)
    left = rng.integers(num_people, size=num_non_mated)
    right = (left + rng.integers(1, num_people, size=num_non_mated)) % num_people
    own = (1 - person_noise**2) ** 0.5
    mated_scores = gap + mated_habit[person] + own * rng.normal(size=len(person))
    pair_habit = (non_mated_habit[left] + non_mated_habit[right]) / 2**0.5
    non_mated_scores = pair_habit + own * rng.normal(size=num_non_mated)
    mated = np.arange(len(person) + num_non_mated) < len(person)
    return (
        np.concatenate([mated_scores, non_mated_scores]),
        mated,
        np.concatenate([person, left]),
        np.concatenate([person, right]),
    )
