"""Several sources read as one: nothing is lost, nobody is mixed up with somebody of the same name."""

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.records.image_folder import ImageFolder
from marginface.records.joined import JoinedRecords
from marginface.records.tar_images import TarImages
from tests.helpers.synthetic import write_faces, write_tar


@pytest.fixture
def parts(tmp_path):
    folder = ImageFolder(write_faces(tmp_path / "folder", num_identities=3, images_per_identity=2, size=16))
    tar = TarImages(write_tar(tmp_path / "a.tar", num_identities=2, images_per_identity=4, size=16, seed=1))
    return folder, tar


def test_images_follow_one_another_and_people_stand_side_by_side(parts):
    joined = JoinedRecords({"0": parts[0], "1": parts[1]})
    assert len(joined) == 14
    assert joined.sizes == (6, 8)
    assert joined.labels.tolist() == [0, 0, 1, 1, 2, 2] + [3] * 4 + [4] * 4
    assert joined.identities == ["0/person_00", "0/person_01", "0/person_02", "1/person_00", "1/person_01"]
    assert len(set(joined.keys)) == 14
    for index in range(-14, 14):
        record = joined[index]
        number, place = (0, index % 14) if index % 14 < 6 else (1, index % 14 - 6)
        assert record.image == parts[number][place].image
        assert record.key == joined.keys[index] == f"{number}/{parts[number].keys[place]}"
        assert record.label == joined.labels[index]
        assert record.identity == joined.identities[record.label]
    with pytest.raises(IndexError, match="there is no number 14"):
        joined[14]


def test_sets_and_labels_within_them_are_known(parts):
    joined = JoinedRecords({"0": parts[0], "1": parts[1]})
    indices = np.array([5, 6, 13, 0])
    assert joined.set_of(indices).tolist() == [0, 1, 1, 0]
    assert joined.labels_within_set(indices).tolist() == [2, 0, 1, 0]


def test_an_empty_prefix_leaves_names_as_they_are_and_two_of_the_same_are_refused(parts):
    joined = JoinedRecords({"": parts[0], "extra": parts[1]})
    assert joined.keys[0] == parts[0].keys[0]
    assert joined[-1].identity == joined.identities[-1] == "extra/person_01"
    assert joined.location == f"{parts[0].location} and {parts[1].location}"
    same = JoinedRecords({"extra": parts[0]})
    with pytest.raises(InputError, match="have the same keys"):
        JoinedRecords({"": same, "extra": parts[0]})
