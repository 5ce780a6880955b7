"""Augmentation with an address: what happens to an image depends on (seed, epoch, index) and on nothing else.

So neither the number of worker processes, nor the rank that meets the image, nor a resume can change it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import cv2
import numpy as np
import numpy.typing as npt

from marginface.config import by_kind
from marginface.errors import InputError, one_of
from marginface.images.augmentation import (
    OPERATIONS,
    PRESETS,
    Draws,
    OperationConfig,
    addressed,
    in_stream,
    units,
)
from marginface.images.degrade import check, degrade

__all__ = ["Augment", "AugmentConfig", "DegradeConfig"]

Pixels = npt.NDArray[np.uint8]

_FLIP, _SPOIL, _SPOIL_CHANCE, _FIRST_OPERATION = 0, 1, 2, 1000
"""Streams of the draws; operation number k of a recipe has _FIRST_OPERATION + k."""


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
    """What may happen to a training image, in this order: the preset's operations, `operations`, flip, degrade."""

    preset: str | None = None
    """adaface, insightface_dali or cvlface: the operations of published training, with their probabilities."""
    operations: tuple[Annotated[OperationConfig, by_kind("operation", OPERATIONS)], ...] = ()
    """Further ones, one after another, each with its own probability."""
    horizontal_flip: float = 0.5
    """Probability of mirroring an image."""
    degrade: DegradeConfig | None = None
    """Blur, shrink or compress some images; null leaves them all as they are."""

    def __post_init__(self) -> None:
        if self.preset is not None and self.preset not in PRESETS:
            raise InputError(f"there is no augmentation preset {self.preset!r}{one_of(self.preset, list(PRESETS))}.")
        if not 0.0 <= self.horizontal_flip <= 1.0:
            raise InputError(f"horizontal_flip {self.horizontal_flip} is not a probability; give 0.0 to 1.0.")

    def all_operations(self) -> tuple[OperationConfig, ...]:
        """Return the preset's operations and those that follow them."""
        return (PRESETS[self.preset] if self.preset is not None else ()) + self.operations

    def build(self, *, seed: int) -> Augment:
        """Return the augmentation whose draws follow from `seed`."""
        return Augment(self, seed=seed)


class Augment:
    """Applies a config to the images of a batch, one operation after another.

    All images meet an operation before any meets the next, and all are decoded before: code that stays in the
    processor's caches is worth more here than pixels that do.
    """

    def __init__(self, config: AugmentConfig, *, seed: int) -> None:
        self.config = config
        self.seed = seed
        self.operations = config.all_operations()

    def __call__(
        self, images: Pixels, epochs: npt.NDArray[np.int64], indices: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        """Alter images where they lie and return how strong each of the K operations was.

        Args:
            images: (B, S, S, 3) uint8 RGB, overwritten.
            epochs: (B,) of their addresses.
            indices: (B,) of their addresses.

        Returns:
            (B, K) strengths, 0 where an operation did not happen.
        """
        addresses = addressed(self.seed, epochs, indices)
        strengths = np.zeros((len(images), len(self.operations)), dtype=np.float32)
        for k, operation in enumerate(self.operations):
            starts = in_stream(addresses, _FIRST_OPERATION + k)
            for row in _rows(starts, operation.probability):
                draws = Draws.starting_at(int(starts[row]))
                images[row], strengths[row, k] = operation.apply(images[row], draws)
        for row in _rows(in_stream(addresses, _FLIP), self.config.horizontal_flip):
            cv2.flip(images[row], 1, dst=images[row])  # 4 us, where copying image[:, ::-1] takes 85
        if self.config.degrade is not None:
            self._spoil(images, addresses, self.config.degrade)
        return strengths

    def _spoil(self, images: Pixels, addresses: npt.NDArray[np.uint64], config: DegradeConfig) -> None:
        chances = units(in_stream(addresses, _SPOIL_CHANCE))
        for row in _rows(in_stream(addresses, _SPOIL), config.probability):
            images[row] = degrade(images[row], config.kind, config.strength, chance=float(chances[row]))

    def alone(self, image: Pixels, *, epoch: int, index: int) -> tuple[Pixels, npt.NDArray[np.float32]]:
        """Return what becomes of one (S, S, 3) uint8 image, a copy, and the (K,) strengths."""
        images = image[None].copy()
        strengths = self(images, np.array([epoch]), np.array([index]))
        return images[0], strengths[0]


def _rows(states: npt.NDArray[np.uint64], probability: float) -> list[int]:
    """Return the places of the batch where something of this probability happens."""
    rows: list[int] = np.flatnonzero(units(states) < probability).tolist()
    return rows
