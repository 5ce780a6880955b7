"""Searches among many people: exact, beside the bare product and faiss in the same run; what an index costs and misses.

    python benchmarks/search.py [--people 100000] [--dims 512] [--skip-indexes]

A gallery in a temporary folder with random people, one image each, written in the file's own format; one thread;
wall-clock milliseconds, the best of a few runs.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import faiss
import numpy as np

from marginface.records.embedding_table import EmbeddingTable
from marginface.search.approximate import HnswConfig, IndexConfig, IvfConfig
from marginface.search.exact import search_exact
from marginface.search.gallery import Gallery
from marginface.search.open_store import create_store
from marginface.search.settings import GallerySettings, new_id

FINGERPRINT = "0" * 16
THRESHOLD = 0.4
TOP_K = 10


def best_ms(call: Callable[[], object], runs: int = 3) -> float:
    """Return the time of the fastest of `runs` calls, ms."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


def bare(queries: np.ndarray, templates: np.ndarray) -> np.ndarray:
    """Return the best rows as a plain product and a partial sort in float32 give them, templates in memory."""
    scores = queries @ templates.T
    best = np.argpartition(scores, -TOP_K, axis=1)[:, -TOP_K:]
    return np.take_along_axis(best, np.argsort(-np.take_along_axis(scores, best, 1), axis=1), 1)


def made_up(num_people: int, dims: int) -> EmbeddingTable:
    """Return a random unit vector for each of `num_people`."""
    rows = np.random.default_rng(0).standard_normal((num_people, dims), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    names = tuple(f"person {i}" for i in range(num_people))
    labels = np.arange(num_people)
    return EmbeddingTable(rows, np.ones(num_people, np.float32), names, labels, names, FINGERPRINT)


def searches(gallery: Gallery, templates: np.ndarray) -> None:
    """Print what one search and a batch of searches cost."""
    flat = faiss.IndexFlatIP(templates.shape[1])
    flat.add(templates)
    mapped, alive = gallery.store._templates.vectors(), gallery.store.snapshot().slots  # type: ignore[attr-defined]
    rng = np.random.default_rng(1)
    for num in (1, 256):
        queries = rng.standard_normal((num, templates.shape[1]), dtype=np.float32)
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        rows = {
            "numpy, product and argpartition": lambda q=queries: bare(q, templates),
            "faiss, IndexFlatIP": lambda q=queries: flat.search(q, TOP_K),
            "search_exact, mapped file": lambda q=queries: search_exact(q, mapped, top_k=TOP_K, alive=alive),
            "Gallery.search": lambda q=queries: gallery.search(q, top_k=TOP_K, threshold=THRESHOLD),
        }
        for name, call in rows.items():
            ms = best_ms(call)
            print(f"{num:>4} faces  {name:<34} {ms:>9.1f} ms  {num / ms * 1e3:>8,.0f} faces/s")


def index(gallery: Gallery, config: IndexConfig, templates: np.ndarray) -> None:
    """Print what an index costs and misses."""
    start = time.perf_counter()
    gallery.store.build_index(config)
    built = time.perf_counter() - start
    recall = gallery.build_index(config, threshold=THRESHOLD)
    one = best_ms(lambda: gallery.search(templates[:1], top_k=TOP_K, threshold=THRESHOLD))
    many = best_ms(lambda: gallery.search(templates[:256], top_k=TOP_K, threshold=THRESHOLD))
    low, high = recall.interval.low, recall.interval.high
    print(
        f"{config.kind:<5} built in {built:6.1f} s; one face {one:6.2f} ms, 256 faces {many:7.1f} ms; recall of faces "
        f"at score {THRESHOLD}: {recall.value:.4f} [{low:.4f}, {high:.4f}] of {recall.num_queries}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--dims", type=int, default=512)
    parser.add_argument("--skip-indexes", action="store_true")
    args = parser.parse_args()
    faiss.omp_set_num_threads(1)
    table = made_up(args.people, args.dims)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "team.db"
        settings = GallerySettings(gallery_id=new_id(), fingerprint=FINGERPRINT, embedding_dim=args.dims)
        create_store(place, settings, timeout_seconds=5.0).close()
        with Gallery(place, model=FINGERPRINT) as gallery:
            start = time.perf_counter()
            gallery.enrol_table(table)
            seconds = time.perf_counter() - start
            size = sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e6
            print(f"{args.people:,} people, {args.dims} values; enrolled in {seconds:.1f} s, {size:,.0f} MB on disk")
            print(f"one more person: {best_ms(lambda: gallery.enrol('one more', table.vectors[0])):.1f} ms", end=", ")
            print(f"opening: {best_ms(lambda: Gallery(place).close()):.1f} ms", end=", ")
            print(f"erasing somebody: {best_ms(lambda: gallery.remove('one more'), runs=1):.1f} ms")
            searches(gallery, table.vectors)
            if not args.skip_indexes:
                for config in (IvfConfig(), HnswConfig()):
                    index(gallery, config, table.vectors)


if __name__ == "__main__":
    main()
