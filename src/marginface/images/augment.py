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

__all__ = ["Augment", "AugmentConfig", "Decisions", "DegradeConfig"]

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


@dataclass(frozen=True)
class Decisions:
    """What will happen to the images of a batch; how exactly, each operation draws for itself."""

    operations: npt.NDArray[np.bool_]
    """(B, K) which of the K operations."""
    steps: list[list[tuple[int, int]]]
    """(B,) the same for each image: the numbers of its operations, and where the draws of each begin."""
    flips: list[bool]
    """(B,) whether to mirror."""
    spoils: list[float | None]
    """(B,) the number in [0, 1) with which to degrade; None: not at all."""


class Augment:
    """Applies a config: decides for a batch at once, then works on one image at a time."""

    def __init__(self, config: AugmentConfig, *, seed: int) -> None:
        self.config = config
        self.seed = seed
        self.operations = config.all_operations()

    def __call__(self, image: Pixels, *, epoch: int, index: int) -> tuple[Pixels, npt.NDArray[np.float32]]:
        """Return what becomes of one (S, S, 3) uint8 image, a copy, and the (K,) strengths of the operations."""
        place, strengths = np.empty_like(image), np.zeros(len(self.operations), dtype=np.float32)
        decisions = self.decide(np.array([epoch]), np.array([index]))
        self.carry_out(decisions, 0, image, place, strengths)
        return place, strengths

    def decide(self, epochs: npt.NDArray[np.int64], indices: npt.NDArray[np.int64]) -> Decisions:
        """Return what will happen to the images at these (B,) addresses; all draws of a batch cost as much as two."""
        addresses = addressed(self.seed, epochs, indices)
        starts = np.zeros((len(indices), len(self.operations)), dtype=np.uint64)
        for k in range(len(self.operations)):
            starts[:, k] = in_stream(addresses, _FIRST_OPERATION + k)
        operations = units(starts) < [operation.probability for operation in self.operations]
        steps: list[list[tuple[int, int]]] = [[] for _ in indices]
        for (row, k), start in zip(np.argwhere(operations).tolist(), starts[operations].tolist(), strict=True):
            steps[row].append((k, start))
        return Decisions(
            operations=operations,
            steps=steps,
            flips=(units(in_stream(addresses, _FLIP)) < self.config.horizontal_flip).tolist(),
            spoils=self._spoils(addresses),
        )

    def _spoils(self, addresses: npt.NDArray[np.uint64]) -> list[float | None]:
        config = self.config.degrade
        if config is None:
            return [None] * len(addresses)
        draws, chances = (units(in_stream(addresses, stream)).tolist() for stream in (_SPOIL, _SPOIL_CHANCE))
        return [chance if draw < config.probability else None for draw, chance in zip(draws, chances, strict=True)]

    def carry_out(
        self, decisions: Decisions, row: int, image: Pixels, place: Pixels, strengths: npt.NDArray[np.float32]
    ) -> None:
        """Write one image of a batch into its place, as decided.

        Args:
            decisions: for the batch.
            row: of this image among them.
            image: (S, S, 3) uint8 RGB, which may be `place` itself.
            place: (S, S, 3) uint8, overwritten.
            strengths: (K,) zeros, into which each operation that happens writes its own.
        """
        for k, start in decisions.steps[row]:
            image, strengths[k] = self.operations[k].apply(image, Draws.starting_at(start))
        if decisions.flips[row]:
            cv2.flip(image, 1, dst=place)  # in place or not; 4 us, where copying image[:, ::-1] takes 85
            image = place
        spoil, chance = self.config.degrade, decisions.spoils[row]
        if spoil is not None and chance is not None:
            image = degrade(image, spoil.kind, spoil.strength, chance=chance)
        if image is not place:
            place[...] = image
