"""A folder of folders becomes records; what cannot be one is refused in words."""

import logging
import os
import pickle
import shutil

import pytest

from marginface.errors import InputError
from marginface.records import image_folder, index_cache, indexed
from marginface.records.image_folder import ImageFolder
from marginface.records.record import RecordSource
from tests.helpers.synthetic import face_jpeg, write_faces


def test_identities_and_keys_are_sorted_and_labels_point_at_them(tmp_path):
    source = ImageFolder(write_faces(tmp_path, num_identities=3, images_per_identity=2))
    assert isinstance(source, RecordSource)
    assert source.identities == ("person_00", "person_01", "person_02")
    assert source.keys[:3] == ("person_00/0000.jpg", "person_00/0001.jpg", "person_01/0000.jpg")
    assert source.labels.tolist() == [0, 0, 1, 1, 2, 2]
    record = source[3]
    assert (record.key, record.label, record.identity) == ("person_01/0001.jpg", 1, "person_01")
    assert record.image == face_jpeg(identity=1, image=1)
    assert source[-1].key == "person_02/0001.jpg"


def test_nested_folders_belong_to_the_identity_and_hidden_or_other_files_to_nobody(tmp_path):
    (tmp_path / "ada/video_1/late").mkdir(parents=True)
    (tmp_path / ".cache").mkdir()
    (tmp_path / "empty").mkdir()
    for name in ("ada/video_1/late/a.JPG", "ada/b.png", "ada/.hidden.jpg", "ada/notes.txt", ".cache/c.jpg", "ada/jpg"):
        (tmp_path / name).write_bytes(b"x")
    source = ImageFolder(tmp_path)
    assert source.keys == ("ada/b.png", "ada/video_1/late/a.JPG")
    assert source.identities == ("ada",)


def test_images_outside_any_identity_are_passed_over_with_a_warning(tmp_path, caplog):
    write_faces(tmp_path, num_identities=2, images_per_identity=1)
    (tmp_path / "loose.jpg").write_bytes(b"x")
    with caplog.at_level(logging.WARNING):
        assert len(ImageFolder(tmp_path)) == 2
    assert "passed over 1 images" in caplog.text


def test_unusable_folders_are_refused_in_words(tmp_path):
    with pytest.raises(InputError, match="there is no image in it; expected FOLDER/<identity>/<image>"):
        ImageFolder(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"x")
    with pytest.raises(InputError, match="1 images lie directly in it"):
        ImageFolder(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        ImageFolder(tmp_path / "a.jpg")
    with pytest.raises(InputError, match="does not exist"):
        ImageFolder(tmp_path / "nowhere")


def test_a_file_that_vanishes_after_opening_is_named(tmp_path):
    source = ImageFolder(write_faces(tmp_path, num_identities=1, images_per_identity=2))
    (tmp_path / source.keys[1]).unlink()
    with pytest.raises(InputError, match=r"person_00/0001\.jpg cannot be read any more"):
        source[1]
    with pytest.raises(IndexError):
        source[2]


def test_a_pickle_reads_the_same(tmp_path):
    source = ImageFolder(write_faces(tmp_path, num_identities=2, images_per_identity=2))
    assert pickle.loads(pickle.dumps(source))[2].image == source[2].image


def test_a_kept_listing_is_used_until_any_folder_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("MARGINFACE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(index_cache, "WORTH_BYTES", 0)
    monkeypatch.setattr(indexed, "MANY_NAMES", 0)
    root = write_faces(tmp_path / "faces", num_identities=3, images_per_identity=2, size=16)
    (root / "person_01/deep").mkdir()
    fresh = ImageFolder(root)
    assert not (tmp_path / "cache").exists()  # too young: a file of the same tick would be missed

    def age(*folders):
        for folder in [root, *root.glob("**/"), *folders]:
            os.utime(folder, ns=(10**18, 10**18))

    age()
    kept = ImageFolder(root)
    with monkeypatch.context() as patch:
        patch.setattr(image_folder, "_image_keys", None)
        again = ImageFolder(root)
    assert fresh.keys == kept.keys == again.keys
    assert again.identities == fresh.identities
    assert again.labels.tolist() == fresh.labels.tolist()
    copy = pickle.loads(pickle.dumps(again))
    assert [copy[i].image for i in range(6)] == [fresh[i].image for i in range(6)]
    for change in ("person_01/deep/new.jpg", "person_02/x.jpg"):
        (root / change).write_bytes(b"new")
        assert change in ImageFolder(root).keys
    (root / "person_02/x.jpg").rename(root / "person_02/y.jpg")
    assert "person_02/y.jpg" in ImageFolder(root).keys
    age()
    ImageFolder(root)
    shutil.rmtree(root / "person_00")
    assert len(ImageFolder(root).identities) == 2
