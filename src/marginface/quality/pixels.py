"""Classical measures of the pixels alone: no network, nothing learned, each a formula.

They look at the middle of the aligned crop, where the face is: columns 20 to 80 % and rows 20 to 95 % of the usual
112-pixel template (hair and background lie outside). Each names the component of ISO/IEC 29794-5:2025 that it stands
nearest to. The standard's own measures take landmarks and a face mask; numbers are not interchangeable with OFIQ's.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from marginface.quality.method import QualityBatch, Scores

ROWS, COLUMNS = (0.2, 0.95), (0.2, 0.8)
DARK, BRIGHT = 25, 247
"""Luminance up to, and from, which a pixel counts as lost (the ranges of OFIQ 1.2)."""

Luminance = npt.NDArray[np.float64]


def sharpness(batch: QualityBatch) -> Scores:
    """Return log10 of (1 + variance of the Laplacian): Pech-Pacheco et al., ICPR 2000.

    The Laplacian is the 3 x 3 one of OpenCV (4-neighbours) on the luminance. Noise and JPEG blocks count as detail.
    """
    return _each(batch, lambda face: np.log10(1 + cv2.Laplacian(np.ascontiguousarray(face), cv2.CV_64F, ksize=1).var()))


def exposure(batch: QualityBatch) -> Scores:
    """Return the share of pixels that are neither lost in the dark (luminance <= 25) nor in the light (>= 247)."""
    return _each(batch, lambda face: ((face > DARK) & (face < BRIGHT)).mean())


def contrast(batch: QualityBatch) -> Scores:
    """Return the entropy of the luminance histogram in bits, -sum p log2 p over 256 grey levels: 0 to 8."""
    return _each(batch, _entropy)


def uniformity(batch: QualityBatch) -> Scores:
    """Return how alike the light on both halves of the face is: sum of min(left histogram, right histogram), 0 to 1.

    Histograms have 32 levels and sum to 1. (OFIQ takes 256 levels of two squares on the cheeks.)
    """
    return _each(batch, _both_halves)


def _entropy(face: Luminance) -> float:
    counts = np.bincount(face.round().astype(np.int64).ravel(), minlength=256)
    share = counts[counts > 0] / face.size
    return float(-(share * np.log2(share)).sum())


def _both_halves(face: Luminance) -> float:
    half = face.shape[1] // 2
    left, right = (
        np.histogram(side, bins=32, range=(0, 256))[0] / side.size for side in (face[:, :half], face[:, -half:])
    )
    return float(np.minimum(left, right).sum())


def _each(batch: QualityBatch, measure: Callable[[Luminance], float]) -> Scores:
    return np.array([measure(_face(one)) for one in batch.luminance], np.float64)


def _face(luminance: Luminance) -> Luminance:
    height, width = luminance.shape
    rows, columns = (
        slice(int(a * side), max(int(b * side), int(a * side) + 2))
        for (a, b), side in ((ROWS, height), (COLUMNS, width))
    )
    return luminance[rows, columns]
