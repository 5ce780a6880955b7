"""Time of ten-fold accuracy and of the operating points, beside plain loops over thresholds in the same run.

    python benchmarks/verification.py [--dims 512] [--skip-large]

Embeddings are random vectors in memory; one thread of numpy; CPU seconds, the best of a few runs.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import TypeVar

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from marginface.metrics import (
    area_under_roc,
    contiguous_folds,
    equal_error_rate,
    error_rates,
    fnmr_at_fmr,
    identity_bootstrap,
    k_fold_accuracy,
    sort_scores,
)

T = TypeVar("T")
GRID = np.arange(0, 4, 0.01)
TARGETS = (1e-1, 1e-2, 1e-3, 1e-4)


def unit_pairs(num_pairs: int, num_dims: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return two sides (P, D) of unit float32 embeddings, mated ones nearer, and which are mated."""
    rng = np.random.default_rng(0)
    mated = np.arange(num_pairs) // 300 % 2 == 0  # blocks, as in LFW's folds
    left = rng.normal(size=(num_pairs, num_dims)).astype(np.float32)
    right = rng.normal(size=(num_pairs, num_dims)).astype(np.float32) + mated[:, None] * left * np.float32(0.15)
    for side in (left, right):
        side /= np.linalg.norm(side, axis=1, keepdims=True)
    return left, right, mated


def ours(left: np.ndarray, right: np.ndarray, mated: np.ndarray) -> list[float]:
    """Return the fold accuracies from embeddings, by our code."""
    return list(k_fold_accuracy(np.einsum("pd,pd->p", left, right), mated).fold_accuracies)


def loop(left: np.ndarray, right: np.ndarray, mated: np.ndarray) -> list[float]:
    """Return the fold accuracies as published scripts compute them: every fold, every threshold, every pair."""
    distances = 2.0 - 2.0 * np.einsum("pd,pd->p", left, right).astype(np.float64)
    folds, accuracies = contiguous_folds(len(mated)), []
    for fold in range(10):
        train, test = folds != fold, folds == fold
        train_distances, train_mated = distances[train], mated[train]  # published scripts index anew per threshold
        train_accuracy = [_accuracy(threshold, train_distances, train_mated) for threshold in GRID]
        accuracies.append(_accuracy(GRID[int(np.argmax(train_accuracy))], distances[test], mated[test]))
    return accuracies


def _accuracy(threshold: float, distances: np.ndarray, mated: np.ndarray) -> float:
    predicted = np.less(distances, threshold)
    true_match = np.sum(np.logical_and(predicted, mated))
    true_non_match = np.sum(np.logical_and(np.logical_not(predicted), np.logical_not(mated)))
    return float(true_match + true_non_match) / distances.size


def points(scores: np.ndarray, mated: np.ndarray) -> list[float | None]:
    """Return FNMR at each target and the EER, from one sorting."""
    ordered = sort_scores(scores, mated)
    return [*(fnmr_at_fmr(ordered, fmr=fmr).value for fmr in TARGETS), equal_error_rate(ordered).value]


def best_of(work: Callable[[], T], repeats: int) -> tuple[float, T]:
    """Return the shortest time of `repeats` runs in seconds, and what the last one returned."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        result = work()
        times.append(time.process_time() - start)
    return min(times), result


def ten_fold(num_pairs: int, num_dims: int, *, repeats: int) -> None:
    sides = unit_pairs(num_pairs, num_dims)
    floor, _ = best_of(lambda: np.einsum("pd,pd->p", sides[0], sides[1]), repeats)
    fast, our_accuracies = best_of(lambda: ours(*sides), repeats)
    slow, loop_accuracies = best_of(lambda: loop(*sides), max(1, repeats // 4))
    print(
        f"ten-fold, {num_pairs:>9,} pairs x {num_dims}: ours {fast * 1e3:8.2f} ms, loop {slow * 1e3:9.1f} ms, "
        f"ratio {slow / fast:5.1f}; cosines alone {floor * 1e3:.2f} ms, ours/cosines {fast / floor:.2f}; "
        f"accuracies equal: {our_accuracies == loop_accuracies}"
    )


def rates(num_pairs: int) -> None:
    rng = np.random.default_rng(1)
    mated = np.arange(num_pairs) % 50 == 0
    scores = (rng.normal(0, 0.1, num_pairs) + 0.3 * mated).astype(np.float32)
    parts = {
        "4 x FNMR@FMR and EER": best_of(lambda: points(scores, mated), 3)[0],
        "curve": best_of(lambda: error_rates(scores, mated), 3)[0],
        "area": best_of(lambda: area_under_roc(scores, mated), 3)[0],
    }
    print(f"rates, {num_pairs:>11,} pairs: " + ", ".join(f"{name} {t * 1e3:.1f} ms" for name, t in parts.items()))


def bootstrap(num_pairs: int, num_replicates: int) -> None:
    rng = np.random.default_rng(2)
    mated = np.arange(num_pairs) % 2 == 0
    left = rng.integers(4000, size=num_pairs)
    right = np.where(mated, left, (left + rng.integers(1, 4000, size=num_pairs)) % 4000)
    scores = (rng.normal(0, 0.1, num_pairs) + 0.3 * mated).astype(np.float32)
    start = time.process_time()
    folds = contiguous_folds(num_pairs)
    identity_bootstrap(scores, mated, left, right, fmr_targets=TARGETS, folds=folds, num_replicates=num_replicates)
    seconds = time.process_time() - start
    print(f"identity bootstrap, {num_pairs:>9,} pairs, {num_replicates:,} replicates: {seconds:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dims", type=int, default=512)
    parser.add_argument("--skip-large", action="store_true", help="leave out a million pairs and more")
    arguments = parser.parse_args()
    ten_fold(6_000, arguments.dims, repeats=20)
    rates(6_000)
    bootstrap(6_000, 1000)
    if not arguments.skip_large:
        ten_fold(1_000_000, min(arguments.dims, 64), repeats=1)  # 64-D: two sides of 512-D would take 4 GB
        rates(1_000_000)
        bootstrap(1_000_000, 20)
        rates(15_000_000)


if __name__ == "__main__":
    main()
