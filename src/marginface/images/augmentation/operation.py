"""What every operation of an augmentation is: data that says how likely and how strong, and a function of an image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.images.augmentation.draws import Draws

Pixels = npt.NDArray[np.uint8]

TEMPLATE_SIDE = 112
"""Lengths of operations are in pixels of a crop of this side, and are scaled to that of the image."""


@dataclass(frozen=True, kw_only=True)
class OperationConfig:
    """One thing that may happen to an image."""

    kind: str
    probability: float = 1.0
    """Of an image to meet this operation."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise InputError(f"{self.kind}: probability {self.probability:g} is not a probability; give 0.0 to 1.0.")

    def apply(self, image: Pixels, draws: Draws) -> tuple[Pixels, float]:
        """Return what became of the image, a copy, and how much of it was lost.

        Args:
            image: (S, S, 3) uint8 RGB.
            draws: of this use of this image; whoever asks it for as much gets the same.

        Returns:
            The (S, S, 3) uint8 image, and the strength: 0 where nothing changed, more where more did, mostly at most 1;
            each operation says of what.
        """
        raise NotImplementedError

    def check_range(self, name: str, low: float, high: float) -> None:
        """Refuse a pair of settings that is no range within [low, high].

        Raises:
            InputError: the first is the larger, or one lies outside.
        """
        first, last = getattr(self, name)
        if not low <= first <= last <= high:
            raise InputError(f"{self.kind}: {name} {first:g} to {last:g} is no range within {low:g} to {high:g}.")


def grey_of(image: Pixels, weights: str) -> Pixels:
    """Return (H, W) luma, 0.299 R + 0.587 G + 0.114 B rounded; with `weights` "bgr", those of R and B are swapped."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY if weights == "bgr" else cv2.COLOR_RGB2GRAY), np.uint8)
