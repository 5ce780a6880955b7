"""Every batch holds whole groups; visits go round fairly; everything follows from (seed, step)."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marginface.errors import InputError
from marginface.loading.by_identity import IdentityBatches, People, RepeatedBatches

LABELS = np.repeat(np.arange(10), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])  # person k has k + 1 images


def balanced(labels=LABELS, *, k=4, size=20, of_people=False, **how):
    return IdentityBatches(labels, images_per_identity=k, epoch_of_people=of_people, global_batch_size=size, **how)


def test_a_batch_is_p_people_with_k_images_each_nobody_twice():
    batches = balanced(seed=3)
    for step in range(30):
        labels = LABELS[[a.index for a in batches.batch_at(step)]].reshape(5, 4)
        assert (labels == labels[:, :1]).all()
        assert len(set(labels[:, 0])) == 5


def test_everybody_comes_equally_often_and_so_does_each_image_of_a_person():
    batches = balanced(k=2, size=10, seed=0)
    used = [a.index for step in range(360) for a in batches.batch_at(step)]  # 180 visits of each
    people, images = Counter(LABELS[used].tolist()), Counter(used)
    assert set(people.values()) == {360}
    for person in range(10):
        mine = [images[i] for i in np.flatnonzero(person == LABELS)]
        assert max(mine) <= 1.35 * min(mine)


@given(counts=st.lists(st.integers(1, 9), min_size=3, max_size=8), k=st.integers(1, 6), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_no_use_of_an_image_has_the_address_of_another(counts, k, seed):
    people = People(np.repeat(np.arange(len(counts)), counts), seed=seed)
    for person, count in enumerate(counts):
        uses = [address for visit in range(25) for address in people.visit(person, visit, k)]
        assert len(uses) == 25 * k == len(set(uses))
        assert {a.index for a in uses} <= set(people.images(person).tolist())
        first = [a.index for a in uses[:k]]
        assert len(set(first)) == min(k, count)  # no image twice as long as there are others


@pytest.mark.parametrize("of_people, expected", [(True, 2), (False, 2)])
def test_an_epoch_is_all_people_or_as_many_images_as_there_are(of_people, expected):
    assert balanced(of_people=of_people, seed=0).steps_per_epoch == expected  # 10 // 5 people; 55 // 20 images


def test_pairs_of_an_epoch_hold_everybody_once():
    batches = balanced(k=2, size=10, of_people=True, seed=1)
    for epoch in range(3):
        uses = [a for step in range(2) for a in batches.batch_at(2 * epoch + step)]
        pairs = LABELS[[a.index for a in uses]].reshape(-1, 2)
        assert (pairs[:, 0] == pairs[:, 1]).all()
        assert sorted(pairs[:, 0]) == list(range(10))
        lone = [a for a in uses if a.index == 0]  # the only image of person 0, twice, augmented differently
        assert len(set(lone)) == 2


@pytest.mark.parametrize("same_image", [True, False])
def test_every_image_leads_once_an_epoch_with_company_beside_it(same_image):
    batches = RepeatedBatches(LABELS, times=2, same_image=same_image, global_batch_size=10, seed=2)
    assert batches.steps_per_epoch == 11
    uses = [a for step in range(11) for a in batches.batch_at(step)]
    leaders, company = uses[::2], uses[1::2]
    assert sorted(a.index for a in leaders) == list(range(55))
    assert (LABELS[[a.index for a in leaders]] == LABELS[[a.index for a in company]]).all()
    assert {a.epoch for a in leaders} == {0}
    assert {a.epoch for a in company} == {1}
    same = sum(a.index == b.index for a, b in zip(leaders, company, strict=True))
    assert same == 55 if same_image else 5 <= same <= 20  # ten people: 10 expected


def test_company_reaches_all_images_of_a_person():
    labels = np.array([0] * 6 + [1])
    batches = RepeatedBatches(labels, times=3, same_image=False, global_batch_size=3, seed=0)
    seen = {a.index for step in range(70) for a in batches.batch_at(step)[1:] if labels[a.index] == 0}
    assert seen == set(range(6))


def test_labels_that_nobody_has_left_are_no_people():
    labels = np.array([0, 0, 3, 3, 7, 7])  # as after an exclusion list
    for batches in (
        balanced(labels, k=2, size=6, seed=0),
        RepeatedBatches(labels, times=2, same_image=False, global_batch_size=6, seed=0),
    ):
        used = labels[[a.index for a in batches.batch_at(0)]].reshape(3, 2)
        assert (used[:, 0] == used[:, 1]).all()


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: balanced(k=4, size=20, seed=0, world_size=2), "groups of 4 images on each of 2 ranks"),
        (lambda: balanced(k=1, size=20, seed=0), "batch of 20 people is larger than the set's 10"),
        (
            lambda: RepeatedBatches(LABELS, times=3, same_image=True, global_batch_size=10, seed=0),
            "whole groups of 3 images on each of 1 ranks; choose a multiple of 3",
        ),
        (
            lambda: RepeatedBatches(LABELS, times=2, same_image=True, global_batch_size=200, seed=0),
            "batch of 100 images is larger than the set of 55",
        ),
    ],
)
def test_sizes_that_do_not_fit_are_refused_in_words(make, words):
    with pytest.raises(InputError, match=words):
        make()
