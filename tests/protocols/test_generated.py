"""Claims about generated pairs: complete where they promise to be, uniform where they sample."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marginface.errors import InputError
from marginface.protocols import generated_pairs

LABELS = np.repeat(np.arange(12), [1, 2, 3, 5, 2, 2, 4, 1, 2, 3, 2, 6])


def couples(pairs, kind):
    return list(zip(pairs.left[pairs.mated == kind].tolist(), pairs.right[pairs.mated == kind].tolist(), strict=True))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=14), st.integers(1, 40), st.integers(0, 3))
def test_all_mated_pairs_once_and_different_non_mated_ones(labels, num_non_mated, seed):
    every = list(itertools.combinations(range(len(labels)), 2))
    mated = {pair for pair in every if labels[pair[0]] == labels[pair[1]]}
    if not mated or len(mated) == len(every):
        return
    pairs = generated_pairs(labels, num_non_mated=num_non_mated, seed=seed)
    assert sorted(couples(pairs, True)) == sorted(mated)
    drawn = couples(pairs, False)
    assert len(drawn) == len(set(drawn)) == min(num_non_mated, len(every) - len(mated))
    assert set(drawn) <= set(every) - mated


def test_all_takes_every_non_mated_pair():
    pairs = generated_pairs(LABELS, num_non_mated="all")
    assert len(pairs) == len(LABELS) * (len(LABELS) - 1) // 2
    assert len(set(couples(pairs, True) + couples(pairs, False))) == len(pairs)


@pytest.mark.parametrize("num_non_mated", [20, 400])
def test_non_mated_pairs_are_drawn_uniformly(num_non_mated):
    counts: dict = {}
    num_draws = 300
    for seed in range(num_draws):
        for pair in couples(generated_pairs(LABELS, num_non_mated=num_non_mated, seed=seed), False):
            counts[pair] = counts.get(pair, 0) + 1
    num_all = len(LABELS) * 32 // 2 - sum(n * (n - 1) // 2 for n in np.bincount(LABELS))
    share = num_non_mated / num_all
    spread = (num_draws * share * (1 - share)) ** 0.5
    seen = np.array([counts.get(pair, 0) for pair in couples(generated_pairs(LABELS, num_non_mated="all"), False)])
    assert len(seen) == num_all
    assert np.abs(seen - num_draws * share).max() < 4.5 * spread  # some 500 normal deviates
    assert seen.std() == pytest.approx(spread, rel=0.15)


def test_the_seed_alone_decides():
    first, same, other = (generated_pairs(LABELS, num_non_mated=50, seed=seed) for seed in (1, 1, 2))
    assert couples(first, False) == couples(same, False)
    assert couples(first, False) != couples(other, False)
    np.testing.assert_array_equal(first.fold, same.fold)


def test_a_cap_keeps_a_person_with_many_images_from_speaking_for_everybody():
    pairs = generated_pairs(LABELS, max_mated_per_identity=3)
    people = LABELS[pairs.left[pairs.mated]]
    assert np.bincount(people).tolist() == [0, 1, 3, 3, 1, 1, 3, 0, 1, 3, 1, 3]
    assert len(set(couples(pairs, True))) == pairs.num_mated


def test_ten_folds_hold_the_same_share_of_both_kinds():
    pairs = generated_pairs(LABELS, num_non_mated=100)
    for kind in (True, False):
        sizes = np.bincount(pairs.fold[pairs.mated == kind], minlength=10)
        assert len(sizes) == 10
        assert sizes.max() - sizes.min() <= 1
    assert len(np.unique(pairs.fold[:20])) > 3  # dealt, not cut
    assert generated_pairs([0, 0, 1, 1]).fold is None


def test_labels_need_not_be_dense():
    dense, sparse = generated_pairs(LABELS, seed=3), generated_pairs(LABELS * 1000 + 7, seed=3)
    np.testing.assert_array_equal(dense.left, sparse.left)
    np.testing.assert_array_equal(dense.mated, sparse.mated)


@pytest.mark.parametrize(
    "labels, settings, message",
    [
        ([0, 0, 0], {}, "at least two identities"),
        ([0, 1, 2], {}, "nobody has more than one"),
        ([0, 0, 1], {"num_non_mated": 0}, "at least 1"),
        (np.arange(20_000) // 2, {"num_non_mated": "all"}, "50,000,000 are the limit: set num_non_mated"),
        (np.arange(20_001) // 20_000, {}, "50,000,000 are the limit: set max_mated_per_identity"),
    ],
)
def test_labels_without_pairs_and_endless_lists_are_refused(labels, settings, message):
    with pytest.raises(InputError, match=message):
        generated_pairs(labels, **settings)
