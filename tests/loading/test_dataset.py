"""A batch holds the right pixels with the right labels, and names what it had to leave out."""

import numpy as np
import pytest
import torch

from marginface.errors import InputError
from marginface.images.augment import AugmentConfig
from marginface.images.decode import decode_image
from marginface.loading.dataset import FaceDataset
from marginface.loading.sampler import SampleAddress
from marginface.records.image_folder import ImageFolder
from marginface.records.record import Record
from tests.helpers.synthetic import write_faces


@pytest.fixture
def source(tmp_path):
    return ImageFolder(write_faces(tmp_path, num_identities=3, images_per_identity=2, size=32))


def at(*indices, epoch=0):
    return [SampleAddress(epoch, index) for index in indices]


def test_a_batch_holds_what_was_asked_for_in_that_order(source):
    batch = FaceDataset(source, size=32, augment=None).batch(at(5, 0, 3))
    assert batch.images.shape == (3, 32, 32, 3)
    assert batch.images.dtype == torch.uint8
    assert batch.labels.tolist() == [2, 0, 1]
    assert batch.labels.dtype == torch.int64
    assert batch.indices.tolist() == [5, 0, 3]
    assert (batch.broken, len(batch)) == ((), 3)
    for image, index in zip(batch.images, (5, 0, 3), strict=True):
        np.testing.assert_array_equal(image.numpy(), decode_image(source[index].image, name="x"))


def test_images_are_fitted_to_the_size(source):
    assert FaceDataset(source, size=16, augment=None).batch(at(0)).images.shape == (1, 16, 16, 3)


def test_an_empty_request_gives_an_empty_batch(source):
    assert FaceDataset(source, size=16, augment=None).batch([]).images.shape == (0, 16, 16, 3)


def test_augmentation_depends_on_seed_epoch_and_index_alone(source):
    dataset = FaceDataset(source, size=32, augment=AugmentConfig(), seed=5)
    forward = dataset.batch(at(0, 1, 2, 3, 4, 5, epoch=1)).images
    backward = dataset.batch(at(5, 4, 3, 2, 1, 0, epoch=1)).images.flip(0)
    assert torch.equal(forward, backward)
    assert not torch.equal(forward, dataset.batch(at(0, 1, 2, 3, 4, 5, epoch=2)).images)
    plain = FaceDataset(source, size=32, augment=None).batch(at(0, 1, 2, 3, 4, 5)).images
    mirrored = [bool(torch.equal(a, b.flip(1))) for a, b in zip(forward, plain, strict=True)]
    same = [bool(torch.equal(a, b)) for a, b in zip(forward, plain, strict=True)]
    assert [m or s for m, s in zip(mirrored, same, strict=True)] == [True] * 6
    assert any(mirrored)
    assert any(same)


def test_broken_images_are_named_and_left_out(source, tmp_path):
    good = (tmp_path / source.keys[0]).read_bytes()
    (tmp_path / source.keys[1]).write_bytes(good[: len(good) // 2])
    (tmp_path / source.keys[2]).write_text("a text file named .jpg")
    (tmp_path / source.keys[4]).unlink()
    batch = FaceDataset(source, size=32, augment=None).batch(at(0, 1, 2, 3, 4, 5))
    assert batch.indices.tolist() == [0, 3, 5]
    assert batch.labels.tolist() == [0, 1, 2]
    assert batch.images.shape == (3, 32, 32, 3)
    assert batch.broken_keys == tuple(source.keys[i] for i in (1, 2, 4))
    for words, sentence in zip(("cut short", "not an image", "cannot be read any more"), batch.broken, strict=True):
        assert words in sentence


class Decoded:
    """A source whose images were never on disk."""

    location, identities, keys = "drawn", ("a",), ("a/0", "a/1")
    labels = np.zeros(2, np.int64)

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return Record(key=self.keys[index], image=np.full((3000 if index else 32,) * 2 + (3,), 9, np.uint8), label=0)


def test_decoded_arrays_are_welcome_and_a_photograph_is_broken():
    batch = FaceDataset(Decoded(), size=32, augment=None).batch(at(0, 1))
    assert (batch.images == 9).all()
    assert batch.indices.tolist() == [0]
    assert "a/1: 3000 x 3000 pixels is larger than 512 x 512" in batch.broken[0]
    assert len(FaceDataset(Decoded(), size=32, max_side=3000, augment=None).batch(at(1))) == 1


def test_a_fault_of_ours_is_not_taken_for_a_broken_image(source, monkeypatch):
    def fail(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr("marginface.loading.dataset.fit", fail)
    with pytest.raises(ZeroDivisionError):
        FaceDataset(source, size=32, augment=None).batch(at(0))
    assert not issubclass(ZeroDivisionError, InputError)


@pytest.mark.parametrize("config", [AugmentConfig(preset="adaface"), AugmentConfig(preset="cvlface")])
def test_a_batch_is_what_each_image_is_alone_with_the_strengths_beside_it(source, config):
    dataset = FaceDataset(source, size=32, augment=config, seed=2)
    batch = dataset.batch(at(0, 1, 2, 3, 4, 5, epoch=3))
    augment = config.build(seed=2)
    for row, index in enumerate(range(6)):
        alone, strengths = augment.alone(decode_image(source[index].image, name="x"), epoch=3, index=index)
        np.testing.assert_array_equal(batch.images[row].numpy(), alone)
        np.testing.assert_array_equal(batch.strengths[row], strengths)
    assert batch.strengths.shape == (6, len(augment.operations))
    assert FaceDataset(source, size=32, augment=AugmentConfig()).batch(at(0)).strengths is None


def test_strengths_stay_with_their_images_when_one_is_left_out(source, tmp_path):
    config = AugmentConfig(operations=AugmentConfig(preset="adaface").all_operations())
    dataset = FaceDataset(source, size=32, augment=config, seed=2)
    whole = dataset.batch(at(*range(6), epoch=4))
    (tmp_path / source.keys[1]).write_bytes(b"")
    less = dataset.batch(at(*range(6), epoch=4))
    kept = [0, 2, 3, 4, 5]
    np.testing.assert_array_equal(less.strengths, whole.strengths[kept])
    assert torch.equal(less.images, whole.images[kept])


def test_a_batch_may_be_made_in_memory_that_is_given(source):
    dataset = FaceDataset(source, size=32, augment=AugmentConfig(), seed=1)
    into = torch.zeros((4, 32, 32, 3), dtype=torch.uint8)
    batch = dataset.batch(at(2, 4), into=into)
    assert batch.images.data_ptr() == into.data_ptr()
    assert torch.equal(batch.images, dataset.batch(at(2, 4)).images)
