"""Drawn people are a record source, drawn the same wherever and whenever they are drawn."""

import pickle
import tarfile

import cv2
import numpy as np
import pytest

from marginface.drawn import DrawnPeople, write_tar
from marginface.errors import InputError, WorkError
from marginface.records.record import RecordSource


@pytest.fixture(scope="module")
def people() -> DrawnPeople:
    return DrawnPeople(4, 3, seed=11)


def test_people_are_a_record_source(people):
    assert isinstance(people, RecordSource)
    assert len(people) == 12
    assert people.identities == ("person-00000", "person-00001", "person-00002", "person-00003")
    assert people.labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    record = people[4]
    assert record.key == people.keys[4] == "person-00001/001.jpg"
    assert (record.label, record.identity) == (1, "person-00001")
    assert record.landmarks.shape == (5, 2)
    assert record.landmarks.dtype == np.float32
    assert cv2.imdecode(np.frombuffer(record.image, np.uint8), cv2.IMREAD_COLOR).shape == (112, 112, 3)
    assert record.meta["nuisance"]["yaw"] == people.nuisance(1, 1).yaw
    assert pickle.loads(pickle.dumps(people))[4].image == record.image


def test_a_picture_does_not_depend_on_the_others(people):
    fresh = DrawnPeople(500, 40, seed=11)
    assert fresh.record(3, 2).image == people.record(3, 2).image
    assert people[11].image == people.record(3, 2).image == people[-1].image
    assert DrawnPeople(2, 3, seed=11, first_person=2)[5].image == people[11].image


def test_another_seed_draws_other_people(people):
    other = DrawnPeople(4, 3, seed=12)
    assert other[0].image != people[0].image
    assert other.identity(0) != people.identity(0)


def test_a_tar_has_the_same_bytes_whoever_draws_it(people, tmp_path):
    seen = []
    one = write_tar(people, tmp_path / "one.tar", progress=lambda done, total: seen.append((done, total)))
    two = write_tar(people, tmp_path / "two.tar", workers=2)
    assert one.read_bytes() == two.read_bytes()
    assert seen == [(3, 12), (6, 12), (9, 12), (12, 12)]
    with tarfile.open(one) as tar:
        assert tar.getnames() == list(people.keys)
        assert tar.extractfile(people.keys[7]).read() == people[7].image
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.tar", "two.tar"]


def test_a_tar_that_cannot_be_written_is_failed_work(people, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WorkError, match="people.tar: could not be written"):
        write_tar(people, tmp_path / "file" / "people.tar")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_people": 0}, "num_people is 0"),
        ({"images_per_person": 0}, "images_per_person is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"size": 8}, "size is 8"),
        ({"siblings": 1.5}, "siblings is 1.5"),
        ({"difficulty": -0.1}, "difficulty is -0.1"),
        ({"difficulty": float("nan")}, "difficulty is nan"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        DrawnPeople(**{"num_people": 2, "images_per_person": 2, "seed": 0} | settings)


def test_an_index_beyond_the_end_is_an_index_error(people):
    with pytest.raises(IndexError):
        people[12]
