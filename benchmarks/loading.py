"""Images per second from JPEG files to normalised float batches, beside the loader that people write first.

    python benchmarks/loading.py [--images 2000] [--batch-size 128] [--repeats 3]

The baseline is a Dataset of single images: cv2.imread, BGR to RGB, a coin flip, float in [-1, 1], channels first, and
torch's own collating. Both read the same 112-pixel JPEGs, generated into a temporary folder. Runs are interleaved, so
that other work on the machine meets both; ratios are medians of the ratios within a repetition. Where the machine is
busy, trust the CPU column: seconds of all processes, workers included.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from marginface.images.augment import AugmentConfig
from marginface.images.decode import decode_image
from marginface.images.normalize import InputContract, normalize
from marginface.loading.dataset import FaceDataset
from marginface.loading.loader import training_batches
from marginface.loading.sampler import ShuffledBatches
from marginface.records.open import open_records
from marginface.records.record import RecordSource


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        mean_bytes = write_images(Path(folder), args.images)
        source = open_records(f"folder:{folder}")
        print(f"{args.images} JPEGs of 112 x 112, {mean_bytes:,.0f} bytes on average, batch {args.batch_size}")
        print_stages(source)
        for num_workers in (0, 2):
            ours_, theirs = [], []
            for _ in range(args.repeats):
                ours_.append(cost(lambda n=num_workers: ours(source, args.batch_size, n)))
                theirs.append(cost(lambda n=num_workers: baseline(source, args.batch_size, n)))
            for unit, column in (("wall", 0), ("CPU", 1)):
                a, b = ([run[column] for run in runs] for runs in (ours_, theirs))
                ratios = sorted(y / x for x, y in zip(a, b, strict=True))
                print(
                    f"{num_workers} workers, {unit:<4}: {statistics.median(a):6.0f} us an image, baseline"
                    f" {statistics.median(b):6.0f}: {statistics.median(ratios):.2f} times as quick"
                    f" ({ratios[0]:.2f} to {ratios[-1]:.2f}, n = {len(ratios)})"
                )


def write_images(folder: Path, num_images: int) -> float:
    """Write smooth coloured noise at quality 95, ten images a person, and return the mean file size in bytes."""
    generator = np.random.default_rng(0)
    sizes = []
    for i in range(num_images):
        coarse = generator.integers(0, 256, (14, 14, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (112, 112), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        image = np.clip(image + generator.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
        data = simplejpeg.encode_jpeg(image, quality=95, colorspace="RGB", colorsubsampling="420")
        path = folder / f"person_{i // 10:04d}" / f"{i:05d}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        sizes.append(len(data))
    return float(np.mean(sizes))


def print_stages(source: RecordSource) -> None:
    """Print CPU microseconds an image of each stage in this process."""
    indices = range(min(128, len(source)))
    records = [source[i] for i in indices]
    images = torch.from_numpy(np.stack([decode_image(r.image, name=r.key) for r in records]))
    augment = AugmentConfig().build(seed=0)
    stages: dict[str, Callable[[], object]] = {
        "read": lambda: [source[i] for i in indices],
        "decode": lambda: [decode_image(r.image, name=r.key) for r in records],
        "flip": lambda: [augment(image, epoch=0, index=i) for i, image in enumerate(images.numpy())],
        "normalise (channels first)": lambda: normalize(images, InputContract()),
        "normalise (channels last)": lambda: normalize(images, InputContract(), channels_last=True),
    }
    for name, stage in stages.items():
        for _ in range(3):  # the last counts: fresh memory and cold caches are paid for by then
            start = time.process_time()
            stage()
        print(f"  {name:<28}{(time.process_time() - start) / len(records) * 1e6:7.1f} CPU us an image")


def ours(source: RecordSource, batch_size: int, num_workers: int) -> Iterator[Tensor]:
    """Yield normalised batches of one epoch from the package's loader."""
    dataset = FaceDataset(source, size=112, augment=AugmentConfig())
    batches = ShuffledBatches(len(source), global_batch_size=batch_size, seed=0)
    loader = training_batches(
        dataset, batches, first_step=0, num_steps=batches.steps_per_epoch, num_workers=num_workers
    )
    for batch in loader:
        yield normalize(batch.images, InputContract())


class OneByOne(Dataset):
    """What people write first."""

    def __init__(self, folder: str, source: RecordSource) -> None:
        self.paths = [f"{folder}/{key}" for key in source.keys]
        self.labels = source.labels.tolist()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = cv2.cvtColor(cv2.imread(self.paths[index]), cv2.COLOR_BGR2RGB)
        if random.random() < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
        tensor = torch.from_numpy(image).permute(2, 0, 1).contiguous().float().div(255)
        return tensor.sub(0.5).div(0.5), self.labels[index]


def baseline(source: RecordSource, batch_size: int, num_workers: int) -> Iterator[Tensor]:
    """Yield normalised batches of one epoch from single images and default collating."""
    dataset = OneByOne(source.location.removeprefix("folder:"), source)
    loader = DataLoader(dataset, batch_size=batch_size, shuffle=True, drop_last=True, num_workers=num_workers)
    for images, _ in loader:
        yield images


def cost(batches: Callable[[], Iterator[Tensor]]) -> tuple[float, float]:
    """Return (wall, CPU) microseconds an image for one epoch, the start and end of the workers included."""
    before, start, num_images = os.times(), time.perf_counter(), 0
    for images in batches():
        num_images += len(images)
    wall, after = time.perf_counter() - start, os.times()
    return wall / num_images * 1e6, (sum(after[:4]) - sum(before[:4])) / num_images * 1e6


if __name__ == "__main__":
    main()
