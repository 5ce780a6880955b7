"""What every sampler promises, whatever it draws: a function of (seed, step), shared by ranks, resumed by position."""

import numpy as np
import pytest
import torch

from marginface.config import dump, load
from marginface.errors import InputError
from marginface.images.augment import AugmentConfig
from marginface.loading.dataset import FaceDataset
from marginface.loading.loader import training_batches
from marginface.loading.samplers import (
    SAMPLERS,
    IdentityBalancedConfig,
    RepeatedConfig,
    SemiSiameseConfig,
    ShuffledConfig,
    WeightedConfig,
)
from marginface.records.image_folder import ImageFolder
from marginface.records.joined import JoinedRecords
from marginface.records.open import open_records
from marginface.records.write import WRITERS
from marginface.records.write_aside import no_progress
from tests.helpers.synthetic import write_faces

EACH = [
    ShuffledConfig(),
    IdentityBalancedConfig(images_per_identity=2),
    SemiSiameseConfig(),
    RepeatedConfig(),
    RepeatedConfig(times=2, of="identity"),
    WeightedConfig(weights=(3, 1)),
]


WRITTEN = ("list", "packed", "parquet", "recordio", "tar", "webdataset")


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """The same 18 images of six people in every format, two made of others, and noise without a file."""
    root = tmp_path_factory.mktemp("sources")
    folder = ImageFolder(write_faces(root / "folder", num_identities=6, images_per_identity=3, size=16))
    sources = {"folder": folder, "synthetic": open_records("synthetic:18?people=6&size=16")}
    for scheme in WRITTEN:
        path = root / f"faces.{scheme}"
        WRITERS[scheme](folder, path, no_progress)
        sources[scheme] = open_records(f"{scheme}:{path}")
    (root / "some.txt").write_text("\n".join(folder.keys[2:]))
    sources["subset"] = open_records(f"folder:{root / 'folder'}?only={root / 'some.txt'}")
    sources["joined"] = JoinedRecords({"0": folder, "1": sources["tar"]})
    return sources


@pytest.mark.parametrize("sampler", EACH, ids=lambda s: f"{s.kind}")
def test_steps_may_be_asked_for_in_any_order_and_ranks_share_them(records, sampler):
    source = records["joined"]

    def built(rank=0, world_size=1, seed=5):
        return sampler.build(source, global_batch_size=8, seed=seed, rank=rank, world_size=world_size)

    forward, backward = built(), built()
    whole = [forward.batch_at(step) for step in range(15)]
    assert [backward.batch_at(step) for step in reversed(range(15))] == whole[::-1]
    for world_size in (2, 4):
        ranks = [built(rank, world_size) for rank in range(world_size)]
        for step in range(15):
            assert [a for rank in ranks for a in rank.batch_at(step)] == whole[step]
            assert {len(rank.batch_at(step)) for rank in ranks} == {8 // world_size}
    assert [built(seed=6).batch_at(step) for step in range(15)] != whole
    uses = [(step, a) for step, batch in enumerate(whole) for a in batch]
    assert len({a for _, a in uses}) == len(uses) or sampler == RepeatedConfig(times=2, of="identity")
    assert whole[0] != whole[forward.steps_per_epoch]


@pytest.mark.parametrize("sampler", EACH, ids=lambda s: f"{s.kind}")
@pytest.mark.parametrize("name", ["folder", *WRITTEN, "subset", "joined", "synthetic"])
def test_a_run_goes_on_in_mid_epoch_with_the_batches_that_were_left(records, sampler, name):
    source = records[name]
    if sampler.kind == "weighted":
        source = JoinedRecords({"0": source, "1": records["folder"]})
    dataset = FaceDataset(source, size=16, augment=AugmentConfig(preset="adaface"), seed=1)
    plan = sampler.build(source, global_batch_size=4, seed=1)
    assert plan.steps_per_epoch > 2  # so that step 2 is in the middle of one
    whole = bytes_of(dataset, plan, first_step=0, num_steps=7, num_workers=0)
    rest = bytes_of(dataset, plan, first_step=2, num_steps=5, num_workers=2 if sampler.kind == "shuffled" else 0)
    assert whole[2:] == rest


@pytest.mark.parametrize("name", WRITTEN)
def test_the_format_of_a_set_changes_no_batch(records, name):
    runs = []
    for source in (records["folder"], records[name]):
        dataset = FaceDataset(source, size=16, augment=AugmentConfig(preset="cvlface"), seed=1)
        plan = IdentityBalancedConfig(images_per_identity=2).build(source, global_batch_size=4, seed=1)
        runs.append(bytes_of(dataset, plan, first_step=1, num_steps=5, num_workers=0))
    assert runs[0] == runs[1]


def bytes_of(dataset, plan, **how):
    with training_batches(dataset, plan, reuse_memory=True, **how) as batches:
        return [
            (b.images.numpy().tobytes(), b.labels.tolist(), b.indices.tolist(), b.strengths.tolist()) for b in batches
        ]


def test_the_kinds_are_the_keys_and_configs_come_back_as_they_were():
    assert {made.__dataclass_fields__["kind"].default for made in SAMPLERS.values()} == set(SAMPLERS)
    for sampler in EACH:
        assert load(type(sampler), dump(sampler)) == sampler


def test_one_source_needs_one_weight(records):
    with pytest.raises(InputError, match="2 weights for 1 sources"):
        WeightedConfig(weights=(1, 1)).build(records["tar"], global_batch_size=4, seed=0)
    plan = WeightedConfig(weights=(3, 1)).build(records["joined"], global_batch_size=8, seed=0)
    assert np.mean([a.index < 18 for a in plan.batch_at(0)]) == 0.75


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="images_per_identity is 0"):
        IdentityBalancedConfig(images_per_identity=0)
    with pytest.raises(InputError, match="times is 1"):
        RepeatedConfig(times=1)


def test_labels_of_a_joined_batch_are_those_of_its_records(records):
    source = records["joined"]
    dataset = FaceDataset(source, size=16, augment=None)
    batch = dataset.batch(WeightedConfig(weights=(1, 1)).build(source, global_batch_size=8, seed=0).batch_at(0))
    assert torch.equal(batch.labels, torch.from_numpy(source.labels[batch.indices.numpy()]))
