"""Augmentation with an address: what happens to an image depends on (seed, epoch, index) and on nothing else.

So neither the number of worker processes, nor the rank that meets the image, nor a resume can change it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.images.degrade import check, degrade

_MASK = (1 << 64) - 1


@dataclass(frozen=True, kw_only=True)
class DegradeConfig:
    """Spoil some training images, as bad cameras do."""

    kind: Literal["gaussian", "motion", "low_resolution", "jpeg"] = "gaussian"
    """As `marginface degrade` has them."""
    strength: float
    """In that kind's unit, of images of `data.input_size`; always this much."""
    probability: float = 0.5
    """Of an image to be spoilt."""

    def __post_init__(self) -> None:
        check(self.kind, self.strength)
        if not 0.0 <= self.probability <= 1.0:
            raise InputError(f"probability {self.probability} is not a probability; give 0.0 to 1.0.")


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """What may happen to a training image."""

    horizontal_flip: float = 0.5
    """Probability of mirroring an image."""
    degrade: DegradeConfig | None = None
    """Blur, shrink or compress some images; null leaves them all as they are."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.horizontal_flip <= 1.0:
            raise InputError(f"horizontal_flip {self.horizontal_flip} is not a probability; give 0.0 to 1.0.")

    def build(self, *, seed: int) -> Augment:
        """Return the augmentation whose draws follow from `seed`."""
        return Augment(self, seed=seed)


class Augment:
    """Applies a config to one image at a time."""

    def __init__(self, config: AugmentConfig, *, seed: int) -> None:
        self.config = config
        self.seed = seed

    def __call__(self, image: npt.NDArray[np.uint8], *, epoch: int, index: int) -> npt.NDArray[np.uint8]:
        """Return the (H, W, 3) uint8 image: the one given, or a mirrored or spoilt copy."""
        if uniform(self.seed, epoch, index, stream=0) < self.config.horizontal_flip:
            image = np.asarray(cv2.flip(image, 1), dtype=np.uint8)  # 4 us, where copying image[:, ::-1] takes 85
        spoil = self.config.degrade
        if spoil is not None and uniform(self.seed, epoch, index, stream=1) < spoil.probability:
            chance = uniform(self.seed, epoch, index, stream=2)
            image = degrade(image, spoil.kind, spoil.strength, chance=chance)
        return image


def uniform(*address: int, stream: int) -> float:
    """Return a number in [0, 1) that depends on the address and the stream only.

    SplitMix64's finaliser (Steele, Lea and Flood, OOPSLA 2014), applied once per part of the address. It costs
    four microseconds, where seeding a numpy generator for every image costs 35.

    Args:
        address: what the draw is for, such as (seed, epoch, index); any integers.
        stream: which of several draws at the same address this is; each operation has its own.
    """
    state = 0
    for part in (*address, stream):
        state = _mixed((state ^ (part & _MASK)) + 0x9E3779B97F4A7C15)
    return (state >> 11) * 2.0**-53


def _mixed(state: int) -> int:
    state &= _MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
    return state ^ (state >> 31)
