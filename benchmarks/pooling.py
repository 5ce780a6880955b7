"""Ways to pool templates, measured against each other on real faces of which half are spoilt.

    python benchmarks/pooling.py MODEL LFW.tar [--people 250] [--seed 0]

People with six images or more give one gallery template of four and probe templates of two; of each template half the
images are made coarse and blurred at random strength. Weights: none, the norm, the sharpness of the image, both.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "2")

import cv2
import numpy as np

from marginface.evaluation.embed import embed_records
from marginface.images.decode import decode_image
from marginface.models import load_model
from marginface.protocols.plans import TemplatePairs
from marginface.protocols.run_plans import compare_templates
from marginface.protocols.templates import PoolingConfig, Templates
from marginface.records.open import open_records
from marginface.records.record import Record, RecordSource
from marginface.records.select import Subset

GALLERY, PROBE, MOST = 4, 2, 10
WAYS = {
    "directions alike": PoolingConfig(norm="drop"),
    "by norm": PoolingConfig(norm="keep"),
    "by sharpness": PoolingConfig(norm="drop", quality="sharpness"),
    "by norm and sharpness": PoolingConfig(norm="keep", quality="sharpness"),
}


class Spoilt(Subset):
    """Every other image made small and blurred, by a strength drawn for it."""

    def __init__(self, source: RecordSource, indices: list[int], *, seed: int) -> None:
        super().__init__(source, indices)
        self.seed = seed

    def __getitem__(self, index: int) -> Record:
        record = super().__getitem__(index)
        image = decode_image(record.image, name=record.key)
        if index % 2:
            rng = np.random.default_rng((self.seed, index))
            side = int(rng.uniform(10, 40))
            small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
            image = cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        return Record(key=record.key, image=image, label=record.label, identity=record.identity)


def sharpness(source: RecordSource) -> np.ndarray:
    """Return (N,) the square root of the variance of the Laplacian, grey levels."""
    images = (decode_image(source[i].image, name=source.keys[i]) for i in range(len(source)))
    grey = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images)
    return np.array([cv2.Laplacian(one, cv2.CV_64F).std() for one in grey])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--people", type=int, default=250)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    whole = open_records(arguments.data)
    counts = np.bincount(whole.labels)
    people = np.flatnonzero(counts >= GALLERY + PROBE)[: arguments.people]
    chosen, template, owner, is_gallery = [], [], [], []
    for person in people:
        images = np.flatnonzero(whole.labels == person)[:MOST]
        for start, size in [(0, GALLERY), *((k, PROBE) for k in range(GALLERY, len(images) - PROBE + 1, PROBE))]:
            template += [len(owner)] * size
            owner.append(int(person))
            is_gallery.append(start == 0)
            chosen += images[start : start + size].tolist()
    source = Spoilt(whole, chosen, seed=arguments.seed)
    table = embed_records(load_model(arguments.model), source)
    table = table.with_columns({"sharpness": sharpness(source)})
    rows = np.arange(len(chosen))
    made = Templates(rows, np.array(template), rows, tuple(map(str, range(len(owner)))), np.array(owner))
    left, right = np.flatnonzero(is_gallery), np.flatnonzero(~np.array(is_gallery))
    left, right = (side.ravel().astype(np.int32) for side in np.meshgrid(left, right))
    mated = made.person[left] == made.person[right]
    print(f"{len(people)} people, {len(chosen):,} images, {mated.sum():,} mated and {(~mated).sum():,} other pairs")
    clean, spoilt = table.norms[::2], table.norms[1::2]
    print(f"norms: clean {clean.mean():.1f} +- {clean.std():.1f}, spoilt {spoilt.mean():.1f} +- {spoilt.std():.1f}")
    for name, pooling in WAYS.items():
        comparisons, _ = compare_templates(table, TemplatePairs("pooling", made, pooling, left, right, mated))
        found = comparisons.summarise(fmr_targets=(1e-2, 1e-3), num_replicates=300)
        rates = [found.equal_error_rate, *found.fnmr_at_fmr]
        print(
            f"{name:<22} {pooling.letters:<18}"
            + "  ".join(
                f"{word} {100 * one.value:.2f} % [{100 * one.interval.low:.2f}, {100 * one.interval.high:.2f}]"
                for word, one in zip(("EER", "FNMR at 1 %", "at 0.1 %"), rates, strict=True)
            )
        )


if __name__ == "__main__":
    main()
