"""How long a source takes to open, and how much memory: a RecordIO pack as large as WebFace42M, and a folder of files.

    python benchmarks/open_sources.py [--only index recordio folder] [--records 42474557] [--people 2059906]
        [--files 1000000] [--folders 1000] [--scratch DIR]

The pack has the real number of records, identity records and key ranges, with twelve bytes where an image would be:
1.9 GB and 0.9 GB of index, written to a scratch folder first. Its text index is read plainly, then as we do, then line
by line in Python; these go to arrays, nothing is kept. The folder holds hard links to small JPEGs.

Each line is a process of its own, in which everything is in the system's cache of files. "first" parses the index and
finds the labels, or lists the folder; "again" maps what was kept; "epoch" then shuffles all images and reads the first
batch of 128 through `ShuffledBatches`. Memory is the process's largest resident size (Linux), with that of the imports
alone beside it; pages of files that are mapped count, though every process shares them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import simplejpeg

MAGIC = 0xCED7230A
IMAGE = b"\xff\xd8\xff" + bytes(9)
RECORD = np.dtype([("frame", "<u4", 2), ("count", "<u4"), ("label", "<f4"), ("ids", "<u8", 2), ("image", "S12")])
BOUNDS = np.dtype([("frame", "<u4", 2), ("count", "<u4"), ("label", "<f4"), ("ids", "<u8", 2), ("bounds", "<f4", 2)])
CHUNK = 1_000_000

PEAK = """
import sys, time
def peak(): return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024
"""
OPEN = f"""{PEAK}
import numpy
from marginface.records.open import open_records
if "epoch" in sys.argv: from marginface.loading.sampler import ShuffledBatches
before = peak()
began = time.perf_counter()
source = open_records(sys.argv[1])
num = len(source.identities)
if "epoch" in sys.argv:
    batches = ShuffledBatches(len(source), global_batch_size=128, seed=0)
    images = [source[index].image for _, index in batches.batch_at(0)]
print(f"{{time.perf_counter() - began:8.2f}} s {{peak():8,.0f}} MB, of which imports {{before:,.0f}} MB"
      f"   {{len(source):,}} images, {{num:,}} people")
"""
READ = f"""{PEAK}
import numpy as np
from marginface.records.file_at import FileAt
from marginface.records.recordio_index import _parsed
before = peak()
began = time.perf_counter()
path = sys.argv[1] + "/train.idx"
num = 0
if sys.argv[2] == "plainly":
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            num += len(chunk)
elif sys.argv[2] == "as we do":
    num = len(_parsed(path, FileAt(sys.argv[1] + "/train.rec", where="the pack"))["offsets"]) - 1
else:
    offsets = np.empty(int(sys.argv[3]), np.int64)
    with open(path, "rb") as file:
        for line in file:
            key, offset = line.split()
            offsets[num] = int(offset)
            num += 1
print(f"{{time.perf_counter() - began:8.2f}} s {{peak():8,.0f}} MB, of which imports {{before:,.0f}} MB"
      f"   {{num:,}} {{'bytes' if sys.argv[2] == 'plainly' else 'lines'}}")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=("index", "recordio", "folder"))
    parser.add_argument("--records", type=int, default=42_474_557)
    parser.add_argument("--people", type=int, default=2_059_906)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--folders", type=int, default=1_000)
    parser.add_argument("--scratch", type=Path, default=None)
    args = parser.parse_args()
    wanted = args.only or ("index", "recordio", "folder")
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        os.environ["MARGINFACE_CACHE"] = f"{scratch}/cache"
        if {"index", "recordio"} & set(wanted):
            began = time.perf_counter()
            pack = write_pack(Path(scratch) / "pack", args.records, args.people)
            sizes = [f"{path.name} {path.stat().st_size / 1e9:.2f} GB" for path in sorted(pack.iterdir())]
            print(f"written in {time.perf_counter() - began:.0f} s: {', '.join(sizes)}")
        if "index" in wanted:
            for how in ("plainly", "plainly", "as we do", "line by line"):  # the first brings it into the cache
                show(f"index, {how}", READ, str(pack), how, str(args.records + args.people + 1))
        if "recordio" in wanted:
            for what in ("first", "again", "epoch"):
                show(f"recordio, {what}", OPEN, f"recordio:{pack}", what)
        if "folder" in wanted:
            folder = write_folder(Path(scratch) / "faces", args.files, args.folders)
            for what in ("first", "again"):
                show(f"folder, {what}", OPEN, f"folder:{folder}", what)


def show(title: str, code: str, *words: str) -> None:
    """Run code in a process of its own and print what it says."""
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    print(f"{title:<20} {done.stdout.strip() or done.stderr.strip()}", flush=True)


def write_pack(folder: Path, num_images: int, num_people: int) -> Path:
    """Write a pack of insightface's layout: header, images by person, identity records, all key ranges as float32."""
    folder.mkdir()
    starts = np.unique(np.linspace(1, num_images + 1, num_people + 1).astype(np.int64))
    frame = (MAGIC, RECORD.itemsize - 8)
    with open(folder / "train.rec", "wb") as rec:
        header = np.zeros(1, BOUNDS)
        header["frame"], header["count"] = (MAGIC, BOUNDS.itemsize - 8), 2
        header["bounds"] = (num_images + 1, num_images + len(starts))
        rec.write(header.tobytes())
        for first in range(1, num_images + 1, CHUNK):
            keys = np.arange(first, min(first + CHUNK, num_images + 1))
            images = np.zeros(len(keys), RECORD)
            images["frame"], images["image"] = frame, IMAGE
            images["label"] = np.searchsorted(starts, keys, side="right") - 1
            rec.write(images.tobytes())
        people = np.zeros(len(starts) - 1, BOUNDS)
        people["frame"], people["count"] = (MAGIC, BOUNDS.itemsize - 8), 2
        people["bounds"] = np.stack([starts[:-1], starts[1:]], axis=1)
        rec.write(people.tobytes())
    sizes = (BOUNDS.itemsize, RECORD.itemsize)
    with open(folder / "train.idx", "w", encoding="ascii") as idx:
        idx.write("0\t0\n")
        for first in range(1, num_images + len(starts), CHUNK):
            keys = np.arange(first, min(first + CHUNK, num_images + len(starts)))
            offsets = sizes[0] + (np.minimum(keys, num_images + 1) - 1) * sizes[1]
            offsets += np.maximum(keys - num_images - 1, 0) * sizes[0]
            idx.write("".join(f"{k}\t{o}\n" for k, o in zip(keys.tolist(), offsets.tolist(), strict=True)))
    return folder


def write_folder(folder: Path, num_files: int, num_people: int) -> Path:
    """Write a JPEG a person and links to it, and let the folders be old enough for their listing to be kept."""
    image = simplejpeg.encode_jpeg(np.zeros((112, 112, 3), np.uint8))
    for person, numbers in enumerate(np.array_split(np.arange(num_files), num_people)):
        path = folder / f"person_{person:06d}"
        path.mkdir(parents=True)
        first = path / f"{numbers[0]:08d}.jpg"
        first.write_bytes(image)
        for number in numbers[1:].tolist():
            os.link(first, path / f"{number:08d}.jpg")
    for path in (folder, *folder.iterdir()):
        os.utime(path, (1e9, 1e9))
    return folder


if __name__ == "__main__":
    main()
