"""What the data path costs beside its decoder, and beside the pipeline that people write first.

    python benchmarks/loading.py [--images 1024] [--rounds 5] [--sources folder,tar,recordio,packed]

(a) bare simplejpeg; (b) read, decode, flip, normalise into a float batch; (c) the same with AdaFace's augmentations.
The plain pipeline is a PIL image folder, one item at a time, with torch's DataLoader and its collating. All take turns
within one run, so a busy machine slows them alike. Costs are CPU time of all processes, system time included.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: small tensors meet a barrier in each operation otherwise

import argparse
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
import torch
from PIL import Image, ImageEnhance
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from marginface.drawn import DrawnPeople
from marginface.images.augment import AugmentConfig
from marginface.images.augmentation import PRESETS, Draws, uniforms
from marginface.images.decode import decode_image
from marginface.images.normalize import InputContract, normalize
from marginface.loading.dataset import FaceDataset
from marginface.loading.loader import training_batches
from marginface.loading.sampler import ShuffledBatches
from marginface.records.open import open_records
from marginface.records.record import RecordSource
from marginface.records.write import WRITERS
from marginface.records.write_aside import no_progress

SIZE, QUALITY = 112, 95
ENDINGS = {"tar": "faces.tar", "recordio": "recordio", "packed": "faces.packed"}
PLAIN, ADAFACE = AugmentConfig(), AugmentConfig(preset="adaface")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=6, help="in each measurement, so that starting weighs less")
    parser.add_argument("--sources", default="folder,tar,recordio,packed")
    parser.add_argument("--workers", default="0,2")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as folder:
        sources = write_sources(Path(folder), options.images, options.sources.split(","))
        print_stages(next(iter(sources.values())))
        for num_workers in (int(number) for number in options.workers.split(",")):
            compare(sources, num_workers, options.batch_size, options.rounds, options.epochs)


def compare(sources: dict[str, RecordSource], num_workers: int, batch_size: int, rounds: int, num_epochs: int) -> None:
    """Print the cost of every way through the data, all in turns."""
    folder = sources["folder"]
    encoded = [folder[i].image for i in range(len(folder))]
    ways: dict[str, Callable[[], int]] = {"(a) bare simplejpeg": lambda: decode_only(encoded)}
    for letter, name, config in (("b", "flip", PLAIN), ("c", "AdaFace", ADAFACE)):
        for scheme, source in sources.items():
            ways[f"({letter}) {name}, {scheme}"] = lambda s=source, c=config: consume(
                ours(s, c, batch_size, num_workers, num_epochs)
            )
        ways[f"({letter}) {name}, plain PIL folder"] = lambda c=config: consume(
            plain(folder, c is ADAFACE, batch_size, num_workers, num_epochs)
        )
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            costs[name].append(cost(way))
    print(f"\n{num_workers} workers; median of {rounds} rounds (least to most)")
    bare = [cpu for cpu, _ in costs["(a) bare simplejpeg"]]
    for name, runs in costs.items():
        cpu, wall = ([run[column] for run in runs] for column in (0, 1))
        text = f"  {name:<28}{statistics.median(cpu):7.1f} CPU us ({min(cpu):.1f} to {max(cpu):.1f})"
        text += f"{1e6 / statistics.median(cpu):8,.0f} images/s/core{1e6 / statistics.median(wall):8,.0f} a second"
        if "bare" not in name:
            text += f"{100 * ratio(bare, cpu):5.0f} % of (a)"
        if "bare" not in name and "plain" not in name:
            peer = [c for c, _ in costs[f"{name.split(',')[0]}, plain PIL folder"]]
            text += f"{ratio(peer, cpu):5.1f} x plain"
        print(text)


def ratio(numerators: list[float], denominators: list[float]) -> float:
    """Return the median of the ratios of pairs that were measured one after another."""
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))


def write_sources(root: Path, num_images: int, schemes: list[str]) -> dict[str, RecordSource]:
    """Draw people, write them as JPEGs of quality 95 into a folder and from there as everything else, and open all."""
    people, sizes = DrawnPeople(-(-num_images // 8), 8, seed=0, size=SIZE), []
    for i in range(num_images):
        pixels = decode_image(people[i].image, name=people.keys[i])
        data = simplejpeg.encode_jpeg(pixels, quality=QUALITY, colorspace="RGB", colorsubsampling="420")
        path = root / "folder" / f"person_{i // 8:05d}" / f"{i:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        sizes.append(len(data))
    print(f"{num_images} JPEGs of {SIZE} x {SIZE}, quality {QUALITY}, {np.mean(sizes):,.0f} bytes on average")
    return open_all(root, schemes)


def open_all(root: Path, schemes: list[str]) -> dict[str, RecordSource]:
    """Return the folder, and the other formats written from it."""
    sources = {"folder": open_records(f"folder:{root / 'folder'}")}
    for scheme in schemes:
        if scheme != "folder":
            path = root / ENDINGS[scheme]
            WRITERS[scheme](sources["folder"], path, no_progress)
            sources[scheme] = open_records(f"{scheme}:{path}")
    return sources


def print_stages(source: RecordSource) -> None:
    """Print CPU microseconds an image of each stage in this process, the least of several goes."""
    indices = range(min(128, len(source)))
    records = [source[i] for i in indices]
    images = torch.from_numpy(np.stack([decode_image(r.image, name=r.key) for r in records]))
    place, pixels = np.empty((SIZE, SIZE, 3), np.uint8), images.numpy()
    epochs, numbers = np.zeros(len(indices), np.int64), np.arange(len(indices))
    floats = {last: torch.empty(0) for last in (False, True)}
    for last in floats:
        floats[last] = normalize(images, InputContract(), channels_last=last)
    stages: dict[str, Callable[[], object]] = {
        "read (folder)": lambda: [source[i] for i in indices],
        "decode": lambda: [simplejpeg.decode_jpeg(r.image, colorspace="RGB") for r in records],
        "flip": lambda: [cv2.flip(image, 1, dst=place) for image in pixels],
        "draw what happens": lambda: [uniforms(0, epochs, numbers, stream=stream) for stream in range(4)],
        "normalise, NHWC, reused": lambda: normalize(images, InputContract(), channels_last=True, out=floats[True]),
        "normalise, NHWC, new": lambda: normalize(images, InputContract(), channels_last=True),
        "normalise, NCHW, reused": lambda: normalize(images, InputContract(), out=floats[False]),
    }
    for operation in PRESETS["adaface"]:
        stages[f"{operation.kind}, if drawn"] = lambda operation=operation: [
            operation.apply(image, Draws(i)) for i, image in enumerate(pixels)
        ]
    for name, stage in stages.items():
        best = min(_seconds(stage) for _ in range(7))
        print(f"  {name:<28}{best / len(records) * 1e6:7.1f} CPU us an image")


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def decode_only(encoded: list[bytes]) -> int:
    """Decode everything, one after another, into new memory."""
    for data in encoded:
        simplejpeg.decode_jpeg(data, colorspace="RGB")
    return len(encoded)


def ours(
    source: RecordSource, config: AugmentConfig, batch_size: int, num_workers: int, num_epochs: int
) -> Iterator[Tensor]:
    """Yield normalised batches from the package's loader, in one reused piece of memory."""
    dataset = FaceDataset(source, size=SIZE, augment=config)
    batches = ShuffledBatches(len(source), global_batch_size=batch_size, seed=0)
    steps = batches.steps_per_epoch * num_epochs
    loader = training_batches(
        dataset, batches, first_step=0, num_steps=steps, num_workers=num_workers, reuse_memory=True
    )
    out = torch.empty((batch_size, 3, SIZE, SIZE), memory_format=torch.channels_last)
    for batch in loader:
        yield normalize(batch.images, InputContract(), channels_last=True, out=out)


class PilFolder(Dataset):
    """What people write first, and AdaFace's augmenter in PIL as published, each operation with probability 0.2."""

    def __init__(self, source: RecordSource, augment: bool) -> None:
        root = source.location.removeprefix("folder:")
        self.paths = [f"{root}/{key}" for key in source.keys]
        self.labels, self.augment = source.labels.tolist(), augment

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.open(self.paths[index]).convert("RGB")
        if self.augment:
            image = pil_adaface(image)
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        return tensor.sub(0.5).div(0.5), self.labels[index]


def pil_adaface(image: Image.Image) -> Image.Image:
    """Return the image after crop, low resolution and photometric changes, written with PIL as AdaFace has them."""
    if random.random() < 0.2:
        side = np.sqrt(random.uniform(0.2, 1.0))
        width, height = max(1, int(SIZE * side)), max(1, int(SIZE * side))
        top, left = random.randint(0, SIZE - height), random.randint(0, SIZE - width)
        canvas = np.zeros_like(np.array(image))
        canvas[top : top + height, left : left + width] = np.array(image.crop((left, top, left + width, top + height)))
        image = Image.fromarray(canvas)
    if random.random() < 0.2:
        methods = [cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_AREA, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4]
        small = int(random.uniform(0.2, 1.0) * SIZE)
        pixels = cv2.resize(np.array(image), (small, small), interpolation=random.choice(methods))
        image = Image.fromarray(cv2.resize(pixels, (SIZE, SIZE), interpolation=random.choice(methods)))
    if random.random() < 0.2:
        changes = [ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color]
        for change in random.sample(changes, 3):
            image = change(image).enhance(random.uniform(0.5, 1.5))
    return image


def plain(source: RecordSource, augment: bool, batch_size: int, num_workers: int, num_epochs: int) -> Iterator[Tensor]:
    """Yield normalised batches from single images and default collating."""
    dataset = PilFolder(source, augment)
    loader = DataLoader(
        dataset, batch_size, shuffle=True, drop_last=True, num_workers=num_workers, persistent_workers=num_workers > 0
    )
    for _ in range(num_epochs):
        for images, _ in loader:
            yield images


def consume(batches: Iterator[Tensor]) -> int:
    return sum(len(images) for images in batches)


def cost(way: Callable[[], int]) -> tuple[float, float]:
    """Return (CPU, wall) microseconds an image, the start and end of the workers included."""
    before, start = _cpu_seconds(), time.perf_counter()
    num_images = way()
    wall = time.perf_counter() - start
    return (_cpu_seconds() - before) / num_images * 1e6, wall / num_images * 1e6


def _cpu_seconds() -> float:
    """Return the CPU time of this process and of all workers that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main()
