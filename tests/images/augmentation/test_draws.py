"""A draw belongs to its address; a batch of addresses gives what each gives alone."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from marginface.images.augmentation import Draws, addressed, in_stream, uniform, uniforms


@given(
    seed=st.integers(0, 2**63),
    places=st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 2**40)), min_size=1, max_size=8),
    stream=st.integers(0, 5000),
)
def test_a_batch_draws_what_each_address_draws_alone(seed, places, stream):
    epochs, indices = (np.array(column, dtype=np.int64) for column in zip(*places, strict=True))
    alone = [uniform(seed, epoch, index, stream=stream) for epoch, index in places]
    assert uniforms(seed, epochs, indices, stream=stream).tolist() == alone
    starts = in_stream(addressed(seed, epochs, indices), stream).tolist()
    for start, (epoch, index) in zip(starts, places, strict=True):
        assert Draws.starting_at(start).order(4) == Draws(seed, epoch, index, stream).order(4)


def test_numbers_of_one_address_are_even_and_do_not_hang_together():
    numbers = np.array([Draws(3, 0, i).uniform() for i in range(5000)])
    second = []
    for i in range(5000):
        draws = Draws(3, 0, i)
        draws.uniform()
        second.append(draws.uniform())
    for drawn in (numbers, np.array(second)):
        counts, _ = np.histogram(drawn, bins=20, range=(0, 1))
        assert ((counts - 250) ** 2 / 250).sum() < 43.8  # chi-square, 19 degrees of freedom, p = 0.001
    assert abs(np.corrcoef(numbers, second)[0, 1]) < 0.05


def test_integers_choices_signs_and_orders_reach_all_there_is():
    draws = Draws(0)
    assert {draws.integer(3, 5) for _ in range(100)} == {3, 4, 5}
    assert {draws.one_of("abc") for _ in range(100)} == set("abc")
    assert {draws.sign() for _ in range(100)} == {-1, 1}
    orders = [tuple(draws.order(3)) for _ in range(1200)]
    assert len(set(orders)) == 6
    assert min(orders.count(order) for order in set(orders)) > 140  # expected 200, standard deviation 13
