"""The start of an epoch over 42 million images, and the rate of random reads, from packed sets.

    python benchmarks/packed.py [--images 42474557] [--people 2059906] [--keep FOLDER] [--reads 20000]

The large set is simulated: its shards have WebFace42M's numbers of images and people and every byte of the index, but
their images are holes in a sparse file, so that it takes 2.5 GB of disk and not 240. It is opened in a fresh process,
which tells the seconds and its memory after each stage. Images are read from a real set of drawn noise,
beside the same images in a tar, a folder and a RecordIO pack.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np

from marginface.records.packed_format import (
    FOOTER_BYTES,
    MANIFEST,
    SHARD_MAGIC,
    Footer,
    Manifest,
    names_entry,
    names_file,
    padded,
)

IMAGE_BYTES = 5_681
IMAGES_A_SHARD = 180_000
KEY = b"identity_0000000/00000000.jpg"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=42_474_557)
    parser.add_argument("--people", type=int, default=2_059_906)
    parser.add_argument("--reads", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="write the simulated set here, or use the one that is here")
    parser.add_argument("--start", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.start:
        start(args.start)
        return
    with tempfile.TemporaryDirectory() as folder:
        large = args.keep or Path(folder) / "large"
        if not (large / MANIFEST).exists():
            simulate(large, args.images, args.people)
        print(f"{args.images:,} images of {args.people:,} people; every run is a fresh process")
        words = [sys.executable, __file__, "--start", str(large)]
        runs = [json.loads(subprocess.check_output(words)) for _ in range(args.repeats)]
        print("stage, median wall seconds (range), CPU seconds, memory of its own, memory with mapped files")
        for i, (stage, *_) in enumerate(runs[0]):
            wall = sorted(run[i][1] for run in runs)
            cpu = statistics.median(run[i][2] for run in runs)
            own, all_ = (max(run[i][column] for run in runs) for column in (3, 4))
            spread = f"({wall[0]:.2f} to {wall[-1]:.2f})"
            print(
                f"  {stage:<42}{statistics.median(wall):6.2f} s {spread:<16}{cpu:6.2f} s{own:6,.0f} MB{all_:7,.0f} MB"
            )
        reads(Path(folder), args.reads, args.repeats)


def start(folder: Path) -> None:
    """Print, as JSON, what it takes until the first batch of an epoch is known."""
    from marginface.loading.dataset import FaceDataset
    from marginface.loading.sampler import ShuffledBatches
    from marginface.records.checksum import checksum_of
    from marginface.records.open import open_records

    stages = [("imports, torch among them", 0.0, time.process_time(), *memory_mb())]
    began = time.perf_counter(), time.process_time()

    def tell(stage: str, since: tuple[float, float] | None = None) -> None:
        nonlocal began
        wall, cpu = since or began
        stages.append((stage, time.perf_counter() - wall, time.process_time() - cpu, *memory_mb()))
        began = time.perf_counter(), time.process_time()

    first = began
    records = open_records(f"packed:{folder}")
    tell("open")
    FaceDataset(records, size=112, augment=None)
    assert int(records.labels.max()) < len(records.identities)
    tell("labels of all, as an array")
    batches = ShuffledBatches(len(records), global_batch_size=512, seed=0)
    addresses = batches.batch_at(0)
    tell("shuffle, first batch of addresses")
    tell("start of an epoch", first)
    assert all(records.keys[address.index] for address in addresses)
    tell("then: 512 keys")
    listed = folder / "some.txt"
    listed.write_text("".join(f"{records.keys[i]}\n" for i in range(0, len(records), 4000)))
    began = time.perf_counter(), time.process_time()
    checksum_of(records)
    tell("then: checksum of all keys, labels, people")
    del records, batches
    gc.collect()  # the labels of the first
    began = time.perf_counter(), time.process_time()
    left = open_records(f"packed:{folder}?exclude={listed}")
    tell(f"anew: open without {len(listed.read_text().splitlines()):,} listed images")
    assert len(left)
    print(json.dumps(stages))


def memory_mb() -> tuple[float, float]:
    """Return 10^6 bytes that are this process's own, and the same with mapped files, which all processes share."""
    lines = Path("/proc/self/status").read_text().splitlines()
    words = [line.split() for line in lines]
    kilobytes = {name: int(number[0]) for name, *number in words if name in ("VmRSS:", "RssAnon:")}
    return kilobytes["RssAnon:"] * 1024 / 1e6, kilobytes["VmRSS:"] * 1024 / 1e6


def simulate(folder: Path, num_images: int, num_people: int) -> None:
    """Write a packed set whose images are holes: all of the index, none of the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    names = names_file([f"identity_{label:07d}" for label in range(num_people)])
    (folder / "identities-00000.names").write_bytes(names)
    labels = np.sort(np.random.default_rng(0).integers(0, num_people, num_images)).astype("<u4")
    shards = []
    for number, first in enumerate(range(0, num_images, IMAGES_A_SHARD)):
        name = f"shard-{number:05d}.faces"
        part = labels[first : first + IMAGES_A_SHARD]
        with open(folder / name, "wb") as file:
            footer = write_shard(file, part, first)
            entry = {"name": name, "num_images": len(part), "num_bytes": file.tell(), "images_end": footer.images_end}
        shards.append(entry | {"sha256": footer.sha256.hex()})
    identities = names_entry("identities-00000.names", names, num_people)
    words = json.loads(Manifest(identities=(identities,)).to_json()) | {"shards": shards, "num_images": num_images}
    (folder / MANIFEST).write_text(json.dumps(words))


def write_shard(file, labels: np.ndarray, first: int) -> Footer:
    """Write one shard with a hole for its images."""
    num = len(labels)
    ends = np.arange(num + 1, dtype="<u8") * IMAGE_BYTES + len(SHARD_MAGIC)
    keys = np.tile(np.frombuffer(KEY, np.uint8), (num, 1))
    for column, numbers, digits in ((9, labels, 7), (17, first + np.arange(num), 8)):
        for digit in range(digits):
            keys[:, column + digits - 1 - digit] = ord("0") + numbers // 10**digit % 10
    crcs = np.fromiter((zlib.crc32(key) for key in keys), "<u4", count=num)
    footer = Footer(
        sha256=bytes(32),
        num_images=num,
        first_image=first,
        images_end=int(ends[-1]),
        key_bytes=keys.size,
        meta_bytes=0,
        flags=0,
    )
    key_ends = np.arange(num + 1, dtype="<u4") * len(KEY)
    parts = {"offsets": ends, "labels": labels, "crcs": crcs, "key_crcs": crcs, "key_ends": key_ends, "keys": keys}
    for section, (place, length) in footer.sections().items():
        file.seek(place)
        if section == "end":
            file.write(footer.packed())
        else:
            data = parts[section].tobytes()
            file.write(data + bytes(padded(length) - len(data)))
    assert file.tell() == footer.sections()["end"][0] + FOOTER_BYTES
    return footer


def reads(folder: Path, num_reads: int, repeats: int) -> None:
    """Print CPU microseconds of one random read, its key, label and identity included, from each format."""
    from marginface.records.convert import convert
    from marginface.records.open import open_records

    rng = np.random.default_rng(0)
    for i in range(2000):
        path = folder / "folder" / f"person_{i // 10:04d}" / f"{i:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\xff\xd8\xff" + rng.bytes(IMAGE_BYTES - 3))
    source = open_records(f"folder:{folder}/folder")
    targets = {kind: f"{kind}:{folder}/{kind}" for kind in ("packed", "tar", "recordio")}
    for target in targets.values():
        convert(source, target)
    specs = {"packed": targets["packed"], "packed, CRC-32 compared": f"{targets['packed']}?verify=yes"}
    specs |= {kind: targets[kind] for kind in ("recordio", "tar")} | {"folder": f"folder:{folder}/folder"}
    indices = rng.integers(0, len(source), num_reads).tolist()
    taken: dict[str, list[float]] = {name: [] for name in specs}
    opened = {name: open_records(spec) for name, spec in specs.items()}
    for _ in range(repeats):
        for name, records in opened.items():
            began = time.process_time()
            for index in indices:
                records[index]
            taken[name].append((time.process_time() - began) / num_reads * 1e6)
    print(f"random reads of {IMAGE_BYTES:,} bytes, cache warm, one process of {os.cpu_count()} cores")
    for name, times in taken.items():
        print(
            f"  {name:<28}{statistics.median(times):6.1f} CPU us ({min(times):.1f} to {max(times):.1f}, n = {repeats})"
        )


if __name__ == "__main__":
    main()
