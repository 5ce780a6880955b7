"""Each batch has its shares; each set goes round in whole shuffles of its own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marginface.errors import InputError
from marginface.loading.weighted import WeightedBatches, shares

SIZES = (100, 7, 30)


def test_every_batch_has_the_shares_that_the_weights_say():
    batches = WeightedBatches(SIZES, weights=(2, 1, 1), global_batch_size=16, seed=0)
    assert batches.shares == [8, 4, 4]
    assert batches.steps_per_epoch == 137 // 16
    for step in range(40):
        indices = np.array([a.index for a in batches.batch_at(step)])
        assert np.histogram(indices, bins=[0, 100, 107, 137])[0].tolist() == [8, 4, 4]


def test_each_set_uses_all_its_images_once_a_round():
    batches = WeightedBatches(SIZES, weights=(2, 1, 1), global_batch_size=16, seed=0)
    uses = [a for step in range(70) for a in batches.batch_at(step)]
    assert len(set(uses)) == len(uses)
    small = [a for a in uses if 100 <= a.index < 107]
    assert len(small) == 280
    for round_ in range(40):
        assert sorted(a.index for a in small if a.epoch == round_) == list(range(100, 107))


def test_sets_are_mixed_within_a_batch_so_that_ranks_share_them():
    whole = WeightedBatches(SIZES, weights=(1, 1, 1), global_batch_size=30, seed=0)
    first_half = [sum(a.index < 100 for a in whole.batch_at(step)[:15]) for step in range(60)]
    assert 4 < np.mean(first_half) < 6
    assert len(set(first_half)) > 2


@given(weights=st.lists(st.floats(0.01, 100), min_size=1, max_size=9), num=st.integers(1, 500))
def test_shares_add_up_and_are_within_one_of_exact(weights, num):
    parts = shares(weights, num)
    assert sum(parts) == num
    assert all(abs(part - num * w / sum(weights)) < 1 + 1e-6 for part, w in zip(parts, weights, strict=True))


@pytest.mark.parametrize(
    "weights, size, words",
    [
        ((1, 1), 16, "2 weights for 3 sources"),
        ((1, 1, 0), 16, "weight 0 of a source is not above 0"),
        ((100, 1, 1), 16, "none of source number 2 at these weights"),
    ],
)
def test_weights_that_do_not_fit_are_refused_in_words(weights, size, words):
    with pytest.raises(InputError, match=words):
        WeightedBatches(SIZES, weights=weights, global_batch_size=size, seed=0)
