"""Slow, obvious loops that the fast metrics are compared with."""

from __future__ import annotations

import itertools
import math

import numpy as np


def rates_at(scores, mated, threshold):
    """Return (FMR, FNMR) by looking at each comparison: a match is `score >= threshold`."""
    false_matches = sum(1 for s, m in zip(scores, mated, strict=True) if not m and s >= threshold)
    false_non_matches = sum(1 for s, m in zip(scores, mated, strict=True) if m and not s >= threshold)
    num_mated = sum(1 for m in mated if m)
    return false_matches / (len(scores) - num_mated), false_non_matches / num_mated


def curve(scores, mated):
    """Return [(threshold, FMR, FNMR)] at each distinct score, ascending, and at infinity."""
    thresholds = [*sorted({float(s) for s in scores}), math.inf]
    return [(t, *rates_at(scores, mated, t)) for t in thresholds]


def fnmr_at_fmr(scores, mated, fmr):
    """Return (FNMR, achieved FMR, threshold) at the lowest threshold whose FMR does not exceed `fmr`."""
    return next((fnmr, achieved, t) for t, achieved, fnmr in curve(scores, mated) if achieved <= fmr)


def equal_error_rate(scores, mated):
    """Return the rate where the straight line between neighbouring points of the curve has FMR = FNMR."""
    points = curve(scores, mated)
    for (_, fmr_0, fnmr_0), (_, fmr_1, fnmr_1) in itertools.pairwise(points):
        if fnmr_1 >= fmr_1:
            share = (fmr_0 - fnmr_0) / ((fmr_0 - fnmr_0) + (fnmr_1 - fmr_1))
            return fnmr_0 + share * (fnmr_1 - fnmr_0)
    raise AssertionError("at infinity FNMR is 1")


def ten_fold_as_papers(scores, mated, folds):
    """Return (accuracies, distance thresholds) of the published loop: per fold, per threshold, per set."""
    distances = np.array([2.0 - 2.0 * float(s) for s in scores])
    mated, folds = np.asarray(mated), np.asarray(folds)
    grid = np.arange(0, 4, 0.01)
    accuracies, chosen = [], []
    for fold in np.unique(folds):
        train, test = folds != fold, folds == fold
        train_accuracy = np.zeros(len(grid))
        for i, threshold in enumerate(grid):
            predicted = np.less(distances[train], threshold)
            right = np.sum(predicted & mated[train]) + np.sum(~predicted & ~mated[train])
            train_accuracy[i] = float(right) / train.sum()
        best = int(np.argmax(train_accuracy))
        predicted = np.less(distances[test], grid[best])
        right = np.sum(predicted & mated[test]) + np.sum(~predicted & ~mated[test])
        accuracies.append(float(right) / test.sum())
        chosen.append(float(grid[best]))
    return accuracies, chosen
