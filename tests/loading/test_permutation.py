"""A computed shuffle is a permutation, follows its seed, and looks drawn."""

import numpy as np
import pytest
from scipy.stats import chisquare, kendalltau

from marginface.loading.permutation import ComputedShuffle
from marginface.loading.sampler import MOST_WRITTEN_DOWN, ShuffledBatches


@pytest.mark.parametrize("num", [1, 2, 3, 5, 16, 17, 1000, 4096, 4097, 70_001])
def test_every_number_comes_once(num):
    order = ComputedShuffle(num, np.random.SeedSequence([0, 1]))
    assert len(order) == num
    assert np.array_equal(np.sort(order[:]), np.arange(num))
    assert np.array_equal(np.concatenate([order[: num // 3], order[num // 3 :]]), order[:])


def test_another_seed_is_another_order():
    one, same, other = (ComputedShuffle(5000, np.random.SeedSequence([0, epoch]))[:] for epoch in (1, 1, 2))
    assert np.array_equal(one, same)
    assert (one == other).sum() < 10  # one on average


def test_orders_look_drawn():
    """Where number 0 lands is even over seeds; an order knows nothing of its places, nor of its neighbours."""
    landed = [int(np.argmin(ComputedShuffle(10, np.random.SeedSequence([s, 0]))[:])) for s in range(600)]
    assert chisquare(np.bincount(landed, minlength=10)).pvalue > 1e-3
    order = ComputedShuffle(20_000, np.random.SeedSequence([3, 4]))[:]
    assert kendalltau(np.arange(20_000), order).pvalue > 1e-3
    assert kendalltau(order[:-1], order[1:]).pvalue > 1e-3
    assert abs(np.abs(np.diff(order)).mean() / (20_000 / 3) - 1) < 0.03


def test_42_million_start_at_once():
    order = ComputedShuffle(42_474_557, np.random.SeedSequence([0, 0]))
    batch = order[42_000_000:42_000_512]
    assert len(np.unique(batch)) == 512
    assert batch.max() < 42_474_557


def test_batches_of_a_large_set_start_at_once_and_resume_anywhere():
    batches = ShuffledBatches(MOST_WRITTEN_DOWN + 5, global_batch_size=8, seed=1)
    step = 3 * batches.steps_per_epoch + 77
    assert batches.batch_at(step) == ShuffledBatches(MOST_WRITTEN_DOWN + 5, global_batch_size=8, seed=1).batch_at(step)
    assert batches.batch_at(step)[0].epoch == 3
