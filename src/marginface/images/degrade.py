"""What bad cameras do to faces, one thing at a time and in a stated strength: for fixed test copies, not for training.

Strengths are in pixels of the image as it is given, so state its size beside them (112 is usual).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from marginface.errors import InputError, one_of

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Degradation:
    """One way to spoil an image."""

    meaning: str
    """Of its strength, in words."""
    lowest: float
    highest: float
    apply: Callable[[Pixels, float, float], Pixels]
    """(image, strength, number in [0, 1) of this image) -> spoilt copy."""


def gaussian(image: Pixels, strength: float, chance: float) -> Pixels:
    """Return the image out of focus: a Gaussian of standard deviation `strength` pixels, edges mirrored."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), strength, borderType=cv2.BORDER_REFLECT_101), dtype=np.uint8)


def motion(image: Pixels, strength: float, chance: float) -> Pixels:
    """Return the image moved by `strength` pixels while it was taken, in a direction that `chance` decides."""
    kernel = _line_kernel(strength, chance)
    return np.asarray(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101), dtype=np.uint8)


@functools.lru_cache(maxsize=4096)
def _line_kernel(length: float, chance: float) -> npt.NDArray[np.float32]:
    """Return weights, summing up to 1, of a line of `length` pixels at an angle of `chance` times half a turn."""
    size = 2 * int(np.ceil(length / 2)) + 1
    centre, angle = size // 2, np.pi * chance
    half = length / 2 * np.array([np.cos(angle), np.sin(angle)])
    line = np.zeros((size, size), dtype=np.float32)
    for share in np.linspace(-1.0, 1.0, 8 * size + 1):  # fine steps, each shared among its four nearest pixels
        x, y = centre + share * half
        left, top = int(np.floor(x)), int(np.floor(y))
        for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
            if 0 <= row < size and 0 <= column < size:
                line[row, column] += max(0.0, 1 - abs(y - row)) * max(0.0, 1 - abs(x - column))
    return np.asarray(line / line.sum(), dtype=np.float32)


def low_resolution(image: Pixels, strength: float, chance: float) -> Pixels:
    """Return the image as a face of `strength` pixels a side would look enlarged: averaged down, cubic up."""
    height, width = image.shape[:2]
    factor = strength / max(height, width)
    small_size = max(1, round(width * factor)), max(1, round(height * factor))
    small = cv2.resize(image, small_size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def jpeg(image: Pixels, strength: float, chance: float) -> Pixels:
    """Return the image after a JPEG of quality 100 - `strength`."""
    return np.asarray(cv2.imdecode(_encoded(image, round(100 - strength)), cv2.IMREAD_COLOR_RGB), dtype=np.uint8)


DEGRADATIONS: dict[str, Degradation] = {
    "gaussian": Degradation("standard deviation of the blur, pixels", 0.1, 50.0, gaussian),
    "motion": Degradation("length of the movement, pixels; each image has its own direction", 1.0, 100.0, motion),
    "low_resolution": Degradation(
        "side that the face is shrunk to before it is enlarged, pixels", 2.0, 512.0, low_resolution
    ),
    "jpeg": Degradation("100 minus the JPEG quality", 0.0, 99.0, jpeg),
}


def degrade(image: Pixels, kind: str, strength: float, *, chance: float = 0.0) -> Pixels:
    """Return a spoilt copy of an image.

    Args:
        image: (H, W, 3) uint8 RGB.
        kind: a key of `DEGRADATIONS`.
        strength: see `DEGRADATIONS[kind].meaning`.
        chance: a number in [0, 1) that belongs to this image; only "motion" uses it, for its direction.

    Raises:
        InputError: an unknown kind, or a strength outside its range.
    """
    check(kind, strength)
    return DEGRADATIONS[kind].apply(image, strength, chance)


def check(kind: str, strength: float) -> None:
    """Refuse what `degrade` cannot do.

    Raises:
        InputError: an unknown kind, or a strength outside its range.
    """
    if kind not in DEGRADATIONS:
        raise InputError(f"there is no degradation {kind!r}{one_of(kind, list(DEGRADATIONS))}.")
    known = DEGRADATIONS[kind]
    if not known.lowest <= strength <= known.highest:
        raise InputError(
            f"strength {strength:g} of {kind} is outside {known.lowest:g} to {known.highest:g} ({known.meaning})."
        )


def encode_jpeg(image: Pixels, *, quality: int = 95) -> bytes:
    """Return an RGB image as JPEG without colour subsampling."""
    return _encoded(image, quality).tobytes()


def _encoded(image: Pixels, quality: int) -> npt.NDArray[np.uint8]:
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality]
    settings += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)
    return np.asarray(encoded, dtype=np.uint8)
