"""Workers change the speed and nothing else; broken images stop the run or are counted; workers end cleanly."""

import logging
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from marginface.errors import InputError, WorkError
from marginface.images.augment import AugmentConfig
from marginface.loading.dataset import FaceDataset
from marginface.loading.loader import sequential_batches, training_batches
from marginface.loading.sampler import ShuffledBatches
from marginface.records.image_folder import ImageFolder
from marginface.records.tar_images import TarImages
from tests.helpers.synthetic import write_faces, write_tar


@pytest.fixture
def dataset(tmp_path):
    source = TarImages(write_tar(tmp_path / "a.tar", num_identities=4, images_per_identity=5, size=24))
    return FaceDataset(source, size=24, augment=AugmentConfig(), seed=3)


@pytest.fixture
def damaged(tmp_path):
    """Twelve images; number 3 is cut short and number 7 is a text file."""
    source = ImageFolder(write_faces(tmp_path, num_identities=3, images_per_identity=4, size=24))
    cut = tmp_path / source.keys[3]
    cut.write_bytes(cut.read_bytes()[:300])
    (tmp_path / source.keys[7]).write_text("not a picture")
    return FaceDataset(source, size=24, augment=None)


def everything(batches):
    return [(b.images.clone(), b.labels.tolist(), b.indices.tolist()) for b in batches]


def same(one, other):
    return len(one) == len(other) and all(
        torch.equal(a[0], b[0]) and a[1:] == b[1:] for a, b in zip(one, other, strict=True)
    )


def test_the_number_of_workers_changes_no_bit(dataset):
    plan = ShuffledBatches(20, global_batch_size=6, seed=1)
    runs = [everything(training_batches(dataset, plan, first_step=2, num_steps=7, num_workers=n)) for n in (0, 1, 2)]
    assert len(runs[0]) == 7
    assert all(same(runs[0], run) for run in runs[1:])


def test_starting_at_a_step_gives_what_a_whole_run_gave_from_there(dataset):
    plan = ShuffledBatches(20, global_batch_size=6, seed=1)
    whole = everything(training_batches(dataset, plan, first_step=0, num_steps=8, num_workers=0))
    rest = everything(training_batches(dataset, plan, first_step=5, num_steps=3, num_workers=2))
    assert same(whole[5:], rest)


def test_without_a_number_of_steps_it_goes_on_and_can_be_closed(dataset):
    plan = ShuffledBatches(20, global_batch_size=10, seed=1)
    with training_batches(dataset, plan, first_step=0, num_steps=None, num_workers=2) as batches:
        for _ in range(9):
            assert len(next(batches)) == 10
    batches.close()
    assert list(batches) == []


def test_loading_leaves_the_ambient_random_stream_alone(dataset):
    plan = ShuffledBatches(20, global_batch_size=10, seed=1)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(training_batches(dataset, plan, first_step=0, num_steps=2, num_workers=1))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_sequential_batches_give_each_image_once_in_order(tmp_path, num_workers):
    source = ImageFolder(write_faces(tmp_path, num_identities=3, images_per_identity=3, size=24))
    plain = FaceDataset(source, size=24, augment=None)
    batches = list(sequential_batches(plain, batch_size=4, num_workers=num_workers))
    assert [b.indices.tolist() for b in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
    chosen = sequential_batches(plain, batch_size=2, num_workers=num_workers, indices=[8, 0, 4])
    assert [b.labels.tolist() for b in chosen] == [[2, 0], [1]]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_broken_image_stops_the_run_by_name(damaged, num_workers):
    plan = ShuffledBatches(12, global_batch_size=12, seed=0)
    batches = training_batches(damaged, plan, first_step=0, num_steps=3, num_workers=num_workers)
    with pytest.raises(InputError, match=r"person_0[01]/0003\.jpg: .* 1 more of the 12 images .* set skip_broken"):
        next(batches)
    with pytest.raises(InputError, match=r"person_00/0003\.jpg: this JPEG is damaged or cut short .*\. Remove it"):
        list(sequential_batches(damaged, batch_size=4, num_workers=num_workers))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_skipped_images_are_logged_once_counted_and_named(damaged, num_workers, caplog):
    plan = ShuffledBatches(12, global_batch_size=6, seed=0)
    with caplog.at_level(logging.WARNING, logger="marginface"):
        batches = training_batches(damaged, plan, first_step=0, num_steps=6, num_workers=num_workers, skip_broken=True)
        sizes = [len(b) for b in batches]
    assert sum(sizes) == 3 * 10
    assert batches.num_broken == 2
    assert sorted(batches.broken_keys) == ["person_00/0003.jpg", "person_01/0003.jpg"]
    assert [r.message.startswith("left out: person_0") for r in caplog.records] == [True, True]


def test_a_sequential_batch_with_nothing_left_is_passed_over(damaged):
    batches = sequential_batches(damaged, batch_size=1, num_workers=0, skip_broken=True)
    assert [b.indices.tolist() for b in batches] == [[i] for i in range(12) if i not in (3, 7)]
    assert batches.num_broken == 2


def test_a_set_without_one_good_image_is_refused_even_when_skipping(damaged):
    with pytest.raises(InputError, match="none of its images can be used, first person_00/0003"):
        list(sequential_batches(damaged, batch_size=1, num_workers=0, skip_broken=True, indices=[3, 7]))
    for key in damaged.records.keys:
        (Path(damaged.records.root) / key).write_bytes(b"")
    plan = ShuffledBatches(12, global_batch_size=6, seed=0)
    with pytest.raises(InputError, match="none of the 6 images of a batch can be used"):
        next(training_batches(damaged, plan, first_step=0, num_steps=1, num_workers=0, skip_broken=True))


def test_wrong_numbers_are_refused(dataset, damaged):
    plan = ShuffledBatches(20, global_batch_size=6, seed=1)
    with pytest.raises(InputError, match="num_workers -1"):
        training_batches(dataset, plan, first_step=0, num_steps=1, num_workers=-1)
    with pytest.raises(InputError, match="batch of 0 images"):
        sequential_batches(damaged, batch_size=0, num_workers=0)
    with pytest.raises(ValueError, match="has 12 images, its batches are drawn from 20"):
        training_batches(damaged, plan, first_step=0, num_steps=1, num_workers=0)
    with pytest.raises(ValueError, match="augment=None"):
        sequential_batches(dataset, batch_size=1, num_workers=0)


class DiesAt(FaceDataset):
    """A dataset whose worker is killed, as the kernel does when memory runs out."""

    def batch(self, addresses):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_dies_is_failed_work_with_advice(tmp_path):
    source = ImageFolder(write_faces(tmp_path, num_identities=2, images_per_identity=2, size=24))
    with pytest.raises(WorkError, match=r"a loading process died .* fewer workers"):
        list(sequential_batches(DiesAt(source, size=24, augment=None), batch_size=2, num_workers=1))


def test_signals_to_the_whole_group_reach_only_the_main_process_and_an_unclosed_loader_ends(tmp_path):
    """As Ctrl-C in a terminal and a scheduler's SIGTERM do. The run then ends without closing its loader."""
    path = write_tar(tmp_path / "a.tar", num_identities=2, images_per_identity=10, size=24)
    script = textwrap.dedent(f"""
        import os, signal
        from marginface.loading.dataset import FaceDataset
        from marginface.loading.loader import training_batches
        from marginface.loading.sampler import ShuffledBatches
        from marginface.records.tar_images import TarImages
        seen = []
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: seen.append(number))
        dataset = FaceDataset(TarImages({str(path)!r}), size=24, augment=None)
        plan = ShuffledBatches(20, global_batch_size=10, seed=0)
        batches = training_batches(dataset, plan, first_step=0, num_steps=None, num_workers=2)
        for _ in range(4): next(batches)
        os.killpg(0, signal.SIGINT)
        os.killpg(0, signal.SIGTERM)
        for _ in range(20): next(batches)
        print("went on after", *map(int, seen), flush=True)
        raise SystemExit(7)
    """)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=100, start_new_session=True
    )
    assert (done.stdout.strip(), done.stderr, done.returncode) == ("went on after 2 15", "", 7)
