"""Evaluation from ready embeddings, each part beside a direct implementation in the same run.

    python benchmarks/evaluation.py [ten-fold ijbc search all-pairs] [--scale 1.0] [--threads 2] [--cpu]

Embeddings are random; wall-clock seconds, or with `--cpu` the seconds that all threads worked, which other work on the
machine hardly changes. `--scale 0.1` shrinks every set but ten-fold's; the direct implementations of IJB-C's pairs and
of searches run on `--direct-share` of them and are scaled up.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
PARTS = ("ten-fold", "ijbc", "search", "all-pairs")
DIMS = 512
TARGETS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


def timed(work: Callable[[], T], repeats: int = 1) -> tuple[float, T]:
    """Return the shortest time of some runs, and what the last one returned."""
    times = []
    for _ in range(repeats):
        start = Clock.now()
        result = work()
        times.append(Clock.now() - start)
    return min(times), result


class Clock:
    """What `timed` reads: wall clock, or with `--cpu` the process's time."""

    now = staticmethod(time.perf_counter)


class Memory:
    """How far the memory in use has risen since this was made, by Linux' own account of the process."""

    def __init__(self) -> None:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # the highest use so far becomes that of now
        self.before = self._kilobytes("VmRSS")

    def risen(self) -> float:
        """Return gigabytes at the highest."""
        return (self._kilobytes("VmHWM") - self.before) / 2**20

    @staticmethod
    def _kilobytes(field: str) -> int:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(field))


def ten_fold() -> None:
    import numpy as np

    from benchmarks.verification import loop, ours, unit_pairs

    for num_pairs in (6000, 7000):
        sides = unit_pairs(num_pairs, DIMS)
        floor, _ = timed(lambda sides=sides: np.einsum("pd,pd->p", sides[0], sides[1]), 30)
        fast, accuracies = timed(lambda sides=sides: ours(*sides), 30)
        slow, expected = timed(lambda sides=sides: loop(*sides), 2)
        print(
            f"ten-fold, {num_pairs:,} pairs: {fast * 1e3:.2f} ms, direct {slow * 1e3:.0f} ms ({slow / fast:.0f}x); "
            f"distances alone {floor * 1e3:.2f} ms, so {fast / floor:.2f} times them; equal: {accuracies == expected}"
        )


def ijbc(scale: float, direct_share: float) -> None:
    """IJB-C 1:1 at full size: 469,375 features, 139,071 media, 23,124 templates, 15.66 million pairs."""
    import numpy as np

    from marginface.metrics import equal_error_rate, fnmr_at_fmr, sort_scores, summarise
    from marginface.protocols.pair_scores import pair_scores
    from marginface.protocols.templates import PoolingConfig, Templates, pool
    from marginface.records.embedding_table import EmbeddingTable

    rng = np.random.default_rng(0)
    num_images, num_gallery, num_probe = (max(10, int(n * scale)) for n in (469_375, 3_531, 19_593))
    num_media = int(139_071 * scale)
    num_templates = num_gallery + num_probe
    person = np.concatenate([np.arange(num_gallery), rng.integers(num_gallery, size=num_probe)])
    template = np.sort(
        np.append(np.arange(num_templates), rng.integers(num_templates, size=num_images - num_templates))
    )
    vectors = rng.standard_normal((num_images, DIMS), dtype=np.float32)
    centres = rng.standard_normal((num_gallery, DIMS), dtype=np.float32)
    for start in range(0, num_images, 50_000):
        part = slice(start, start + 50_000)
        vectors[part] += 0.6 * centres[person[template[part]]]
    table = EmbeddingTable(
        vectors=vectors,
        norms=np.linalg.norm(vectors, axis=1),
        keys=tuple(map(str, range(num_images))),
        labels=person[template],
        identities=tuple(map(str, range(num_gallery))),
        fingerprint="random",
    )
    media = np.sort(rng.integers(num_media, size=num_images))
    templates = Templates(
        np.arange(num_images), template, media, tuple(map(str, range(num_templates))), person.astype(np.int64)
    )
    keep = rng.random(num_gallery * num_probe) < 15_658_489 / (3_531 * 19_593)
    left, right = (side.astype(np.int32) for side in np.divmod(np.flatnonzero(keep), num_probe))
    right += num_gallery
    mated = person[left] == person[right]
    del keep
    memory = Memory()

    pooling, pooled = timed(lambda: pool(table, templates, PoolingConfig()).unit, 3)
    scoring, scores = timed(lambda: pair_scores(pooled, left, right), 3)

    def points() -> list[float | None]:
        ordered = sort_scores(scores, mated)
        return [*(fnmr_at_fmr(ordered, fmr=fmr).value for fmr in TARGETS), equal_error_rate(ordered).value]

    rates, found = timed(points, 3)
    total, added = pooling + scoring + rates, memory.risen()
    print(
        f"IJB-C 1:1, {num_images:,} features, {num_templates:,} templates, {len(left):,} pairs: {total:.2f} s "
        f"(pool {pooling:.2f}, score {scoring:.2f}, operating points {rates:.2f}); {added:.2f} GB above the inputs"
    )
    people, _ = timed(lambda: summarise(scores, mated, identity_left=person[left], identity_right=person[right]))
    print(f"  everything the table needs, with intervals of 1,000 resamplings of the people: {people:.1f} s")
    direct_ijbc(table, templates, (left, right, mated), direct_share, total, (pooled, found))


def direct_ijbc(table, templates, pairs, share, ours, expected) -> None:
    """Boolean-index pooling, gather-and-multiply in chunks of 100,000, scikit-learn's `roc_curve`."""
    import numpy as np
    from sklearn.metrics import roc_curve

    left, right, mated = pairs

    def pool_all() -> np.ndarray:
        made = np.zeros((len(templates), DIMS), np.float32)
        for t in range(int(len(templates) * share)):
            mine = np.flatnonzero(templates.template == t)
            faces, media = table.vectors[mine], templates.media[mine]
            made[t] = sum(faces[media == one].mean(axis=0) for one in np.unique(media))
        return made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-12)

    pooling, pooled = timed(pool_all)
    checked = slice(0, int(len(templates) * share))
    num = int(len(left) * share)

    def score_all() -> np.ndarray:
        chunks = (slice(start, start + 100_000) for start in range(0, num, 100_000))
        return np.concatenate([np.sum(expected[0][left[c]] * expected[0][right[c]], axis=1) for c in chunks])

    scoring, scores = timed(score_all)
    rates, _ = timed(lambda: roc_curve(mated[: len(scores)], scores))
    total = (pooling + scoring + rates) / share
    print(
        f"  direct, {share:.0%} of it scaled up: {total:.1f} s (pool {pooling / share:.1f}, score "
        f"{scoring / share:.1f}, roc_curve {rates / share:.1f}), {total / ours:.0f} times ours; templates differ by "
        f"{np.abs(pooled[checked] - expected[0][checked]).max():.1g}"
    )


def search(scale: float, direct_share: float) -> None:
    """1:N among a million distractors, read from a file block by block, beside a full sort and the products alone."""
    import tempfile

    import numpy as np

    from marginface.protocols.gallery_probe import NOBODY, Gallery, search_gallery

    rng = np.random.default_rng(0)
    for num_probe, num_gallery in ((3_728, 157_871), (1_000, 1_000_000)):
        num_probe, num_gallery = int(num_probe * scale), int(num_gallery * scale)
        with tempfile.NamedTemporaryFile(suffix=".npy") as file:
            gallery = np.lib.format.open_memmap(file.name, "w+", np.float32, (num_gallery, DIMS))
            for start in range(0, num_gallery, 50_000):
                gallery[start : start + 50_000] = rng.standard_normal((min(50_000, num_gallery - start), DIMS))
            probes = gallery[:num_probe] + 0.7 * rng.standard_normal((num_probe, DIMS), dtype=np.float32)
            person = np.full(num_gallery, NOBODY)
            person[:num_probe] = np.arange(num_probe)
            sides = (
                Gallery(probes, np.arange(num_probe), np.arange(num_probe)),
                Gallery(gallery, np.arange(num_gallery), person),
            )
            memory = Memory()
            seconds, found = timed(lambda sides=sides: search_gallery("g", *sides))
            block = np.ascontiguousarray(gallery[:8192])
            product, _ = timed(lambda probes=probes, block=block: probes @ block.T, 2)
            risen = memory.risen()
            direct = _direct_search(np.array(probes), np.array(gallery), direct_share)
        floor = product * num_gallery / len(block)
        print(
            f"1:N, {num_probe:,} probes in {num_gallery:,}: {seconds:.1f} s, products alone {floor:.1f} s "
            f"({seconds / floor:.2f} times them); {risen:.2f} GB, the file's own pages among them; direct "
            f"{direct:.0f} s ({direct / seconds:.0f}x); rank-1 {(found.rank == 1).mean():.3f}"
        )


def _direct_search(probes: Any, gallery: Any, share: float) -> float:
    """Return the seconds of a full sort of every probe's scores, done for a share of them and scaled up."""
    import numpy as np

    normalising, unit = timed(lambda: gallery / np.linalg.norm(gallery, axis=1, keepdims=True))
    few = probes[: max(2, int(len(probes) * share))]
    few = few / np.linalg.norm(few, axis=1, keepdims=True)
    sorting, order = timed(lambda: np.argsort(-(few @ unit.T), axis=1))
    assert (order[:, 0] == np.arange(len(few))).mean() > 0.9  # the mate of probe i is entry i
    return normalising + sorting * len(probes) / len(few)


def every_pair(scale: float) -> None:
    """All pairs of 100,000 embeddings: 5e9 comparisons."""
    import numpy as np

    from marginface.metrics.all_pairs import BLOCK, binned_fnmr_at_fmr, score_all_pairs

    rng = np.random.default_rng(0)
    num = int(100_000 * scale)
    labels = rng.integers(num // 10, size=num)
    unit = rng.standard_normal((num // 10, DIMS), dtype=np.float32)[labels]
    unit += rng.standard_normal((num, DIMS), dtype=np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    memory = Memory()
    seconds, found = timed(lambda: score_all_pairs(unit, labels))
    product, _ = timed(lambda: unit[:BLOCK] @ unit[:BLOCK].T, 2)
    comparisons = num * (num - 1) // 2
    floor = product * comparisons / BLOCK**2
    few = unit[:4000]
    direct, _ = timed(lambda: np.histogram((few @ few.T)[np.triu_indices(len(few), 1)], 2**16, (-1, 1)))
    direct *= comparisons / (len(few) * (len(few) - 1) / 2)
    point = binned_fnmr_at_fmr(found, fmr=1e-6 if scale > 0.05 else 1e-3)
    print(
        f"all pairs of {num:,}: {comparisons:.2g} comparisons in {seconds:.1f} s, products alone {floor:.1f} s, "
        f"direct {direct:.0f} s scaled up from 4,000 ({direct / seconds:.1f}x); {memory.risen():.2f} GB; "
        f"FNMR {point.value:.4f} at FMR {point.achieved_fmr:.2g}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all unless given")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--direct-share", type=float, default=0.1)
    parser.add_argument("--cpu", action="store_true", help="seconds of work by all threads, not of the wall clock")
    arguments = parser.parse_args()
    if arguments.cpu:
        Clock.now = staticmethod(time.process_time)
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # before numpy
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    for part in arguments.parts or PARTS:
        if part == "ten-fold":
            ten_fold()
        elif part == "ijbc":
            ijbc(arguments.scale, arguments.direct_share)
        elif part == "search":
            search(arguments.scale, arguments.direct_share)
        elif part == "all-pairs":
            every_pair(arguments.scale)
        else:
            parser.error(f"there is no part {part!r}; choose from {', '.join(PARTS)}")


if __name__ == "__main__":
    main()
