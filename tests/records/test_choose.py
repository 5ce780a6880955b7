"""Choices are exactly what was asked for; splits lose nobody, share nobody and follow their seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marginface.errors import InputError
from marginface.records.choose import chosen, names_in, numbers_in, split, write_keys
from tests.records.made_up import MadeUp

SOURCE = MadeUp([b""] * 10, [0, 0, 0, 1, 2, 2, 0, 3, 3, 3], identities=["ada", "bo", "cy", "di"])


def test_conditions_hold_together_in_their_order():
    assert chosen(SOURCE, at_least=3).tolist() == [0, 1, 2, 6, 7, 8, 9]
    assert chosen(SOURCE, first=2).tolist() == [0, 1, 2, 3, 6]
    assert chosen(SOURCE, people=["cy", "bo"]).tolist() == [3, 4, 5]
    assert chosen(SOURCE, numbers=[9, 0, 4, 9]).tolist() == [9, 0, 4]
    assert chosen(SOURCE, people=["bo", "cy", "di"], first=2, at_least=2).tolist() == [4, 5]


def test_adafaces_recipe_counts_images_after_its_numbers():
    """Its code keeps the listed samples, then erases identities with fewer than five of them."""
    labels = [0] * 6 + [1] * 5 + [2] * 4
    source = MadeUp([b""] * 15, labels)
    numbers = [i for i in range(15) if i not in (0, 1)]  # person 0 has four left
    assert chosen(source, numbers=numbers, at_least=5).tolist() == [6, 7, 8, 9, 10]


@pytest.mark.parametrize(
    "conditions, words",
    [
        ({"numbers": [3, 10]}, r"1 of these numbers, first 10, are outside 0\.\.9"),
        ({"people": ["zoe"]}, "first 'zoe', are not in it"),
        ({"at_least": 9}, "no image is left"),
    ],
)
def test_impossible_choices_are_refused(conditions, words):
    with pytest.raises(InputError, match=words):
        chosen(SOURCE, **conditions)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.floats(0, 0.99), st.integers(0, 5), st.data())
def test_every_image_is_in_one_part_and_strangers_in_no_other(labels, share, seed, data):
    source = MadeUp([b""] * len(labels), labels)
    people = data.draw(st.integers(0, len(source.identities) - 1))
    if not people and not share:
        return
    parts = split(source, people=people, image_share=share, seed=seed)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(len(labels)))
    who = {name: set(source.labels[indices].tolist()) for name, indices in parts.items()}
    assert not who["strangers"] & (who["train"] | who["test"])
    assert who["test"] <= who["train"]


def test_a_split_follows_its_seed_and_a_person_their_own_draw():
    source = MadeUp([b""] * 100, np.repeat(np.arange(10), 10))
    one, same, other = (split(source, people=3, image_share=0.3, seed=s) for s in (1, 1, 2))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["strangers"], other["strangers"])
    assert len(one["test"]) == 7 * 3
    fewer = MadeUp([b""] * 50, np.repeat(np.arange(5), 10))
    a, b = (set(split(s, people=0, image_share=0.3, seed=1)["test"].tolist()) for s in (source, fewer))
    assert {i for i in a if i < 50} == b


@pytest.mark.parametrize(
    "words, message",
    [
        ({"people": 4, "image_share": 0.0}, "leave at least one"),
        ({"people": 0, "image_share": 1.0}, "share of 1"),
        ({"people": 0, "image_share": 0.0}, "nothing to split off"),
    ],
)
def test_splits_that_leave_nothing_are_refused(words, message):
    with pytest.raises(InputError, match=message):
        split(SOURCE, seed=0, **words)


def test_lists_are_read_and_written(tmp_path):
    (tmp_path / "n.txt").write_text("0,1, 2\n7\n")
    assert numbers_in(tmp_path / "n.txt") == [0, 1, 2, 7]
    (tmp_path / "p.txt").write_text("ada\n\n bo \n")
    assert names_in(tmp_path / "p.txt") == ["ada", "bo"]
    write_keys(SOURCE, np.array([2, 0]), tmp_path / "deep/list.txt")
    assert (tmp_path / "deep/list.txt").read_text() == "0002.jpg\n0000.jpg\n"
    with pytest.raises(InputError, match="line end"):
        write_keys(MadeUp([b""], [0], keys=["a\nb"]), np.array([0]), tmp_path / "x.txt")
    (tmp_path / "n.txt").write_text("one")
    with pytest.raises(InputError, match="list of numbers cannot be read"):
        numbers_in(tmp_path / "n.txt")
    with pytest.raises(InputError, match="cannot be read"):
        names_in(tmp_path / "none.txt")
