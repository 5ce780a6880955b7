"""Parts of a source keep their keys and number their people densely; splits share nobody."""

import pickle

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.records.image_folder import ImageFolder
from marginface.records.record import RecordSource
from marginface.records.select import of_identities, require_trainable, split_people, subset, with_at_least
from tests.helpers.synthetic import write_faces


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    root = write_faces(tmp_path_factory.mktemp("faces"), num_identities=5, images_per_identity=3, size=16)
    (root / "person_04/0002.jpg").unlink()
    return ImageFolder(root)


def test_a_subset_keeps_order_and_keys_and_renumbers_labels(source):
    part = subset(source, [13, 3, 4])
    assert isinstance(part, RecordSource)
    assert part.keys == ("person_04/0001.jpg", "person_01/0000.jpg", "person_01/0001.jpg")
    assert part.identities == ("person_01", "person_04")
    assert part.labels.tolist() == [1, 0, 0]
    assert part[0].label == 1
    assert part[0].identity == "person_04"
    assert part[1].image == source[3].image
    assert "3 of 14 images" in part.location
    assert pickle.loads(pickle.dumps(part))[2].key == part.keys[2]


def test_a_subset_of_a_subset_still_names_the_right_people(source):
    twice = subset(subset(source, [13, 3, 4]), [0])
    assert (twice.identities, twice[0].label, twice[0].key) == (("person_04",), 0, "person_04/0001.jpg")


def test_indices_outside_are_a_programming_error(source):
    for wrong in ([14], [-1], [[0]]):
        with pytest.raises(ValueError, match=r"0\.\.13"):
            subset(source, wrong)


def test_people_are_chosen_by_label_or_by_how_many_images_they_have(source):
    assert of_identities(source, [4, 0]).identities == ("person_00", "person_04")
    assert with_at_least(source, 3).identities == ("person_00", "person_01", "person_02", "person_03")
    with pytest.raises(InputError, match="nobody has 4 images or more; the most is 3"):
        with_at_least(source, 4)


def test_split_people_shares_nobody_loses_nobody_and_follows_its_seed(source):
    for seed in range(5):
        rest, held_out = split_people(source, num_held_out=2, seed=seed)
        assert len(held_out.identities) == 2
        assert not set(rest.identities) & set(held_out.identities)
        assert sorted([*rest.keys, *held_out.keys]) == list(source.keys)
    splits = {tuple(split_people(source, num_held_out=2, seed=s)[1].identities) for s in range(10)}
    assert len(splits) > 1
    assert split_people(source, num_held_out=2, seed=3)[1].keys == split_people(source, num_held_out=2, seed=3)[1].keys
    for wrong in (0, 5, 9):
        with pytest.raises(InputError, match=f"cannot hold out {wrong} of 5 people"):
            split_people(source, num_held_out=wrong, seed=0)


def test_one_person_is_not_enough_to_train_on(source):
    require_trainable(source)
    with pytest.raises(InputError, match="only one identity, 'person_03'; training needs at least two people"):
        require_trainable(of_identities(source, [3]))
    with pytest.raises(InputError, match="holds nobody"):
        require_trainable(subset(source, np.array([], dtype=np.int64)))
