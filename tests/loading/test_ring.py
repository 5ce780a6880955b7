"""A few places of memory in turns give the batches that new memory gives, and none is overwritten while it is held."""

import pytest
import torch

from marginface.errors import InputError
from marginface.images.augment import AugmentConfig
from marginface.loading.dataset import FaceDataset
from marginface.loading.loader import training_batches
from marginface.loading.sampler import ShuffledBatches
from marginface.records.image_folder import ImageFolder
from marginface.records.tar_images import TarImages
from tests.helpers.synthetic import write_faces, write_tar

PLAN = ShuffledBatches(20, global_batch_size=6, seed=1)


@pytest.fixture
def dataset(tmp_path):
    source = TarImages(write_tar(tmp_path / "a.tar", num_identities=4, images_per_identity=5, size=24))
    return FaceDataset(source, size=24, augment=AugmentConfig(preset="adaface"), seed=3)


def copies(dataset, **how):
    batches = training_batches(dataset, PLAN, first_step=2, num_steps=9, **how)
    return [(b.images.clone(), b.labels.tolist(), b.indices.tolist(), b.strengths.tolist()) for b in batches]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("num_workers", [0, 1, 8])
def test_reused_memory_changes_no_bit(dataset, num_workers):
    fresh = copies(dataset, num_workers=0)
    reused = copies(dataset, num_workers=num_workers, reuse_memory=True)
    assert len(fresh) == len(reused) == 9
    for (images, *rest), (same, *also) in zip(fresh, reused, strict=True):
        assert torch.equal(images, same)
        assert rest == also


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_batch_holds_until_the_next_is_asked_for(dataset, num_workers):
    with training_batches(
        dataset, PLAN, first_step=0, num_steps=None, num_workers=num_workers, reuse_memory=True
    ) as batches:
        places = set()
        for _ in range(12):
            batch = next(batches)
            kept = batch.images.clone()
            dataset.batch([(0, 0)])  # time for workers to run ahead
            assert torch.equal(batch.images, kept)
            places.add(batch.images.data_ptr())
    assert len(places) == 1 + 2 * num_workers  # two under way for each worker, and the one that is held


@pytest.mark.parametrize("num_workers", [0, 2])
def test_broken_images_are_named_and_left_out_there_too(tmp_path, num_workers):
    source = ImageFolder(write_faces(tmp_path, num_identities=3, images_per_identity=4, size=24))
    (tmp_path / source.keys[3]).write_bytes(b"no picture")
    broken = FaceDataset(source, size=24, augment=None)
    plan = ShuffledBatches(12, global_batch_size=12, seed=0)
    how = {"first_step": 0, "num_steps": 2, "num_workers": num_workers, "reuse_memory": True}
    with pytest.raises(InputError, match=r"person_00/0003\.jpg"):
        next(training_batches(broken, plan, **how))
    batches = training_batches(broken, plan, skip_broken=True, **how)
    assert [len(batch.images) for batch in batches] == [11, 11]
    assert batches.broken_keys == ("person_00/0003.jpg",)
