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
from marginface.images.augmentation import OPERATIONS, PRESETS, Draws, OperationConfig, uniform, uniforms
from marginface.images.degrade import check, degrade

__all__ = ["Augment", "AugmentConfig", "Decisions", "DegradeConfig", "uniform"]

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
    any_operation: list[bool]
    """(B,) whether any of them."""
    flips: list[bool]
    """(B,) whether to mirror."""
    spoils: list[bool]
    """(B,) whether to degrade."""


class Augment:
    """Applies a config: decides for a batch at once, then works on one image at a time."""

    def __init__(self, config: AugmentConfig, *, seed: int) -> None:
        self.config = config
        self.seed = seed
        self.operations = config.all_operations()

    def decide(self, epochs: npt.NDArray[np.int64], indices: npt.NDArray[np.int64]) -> Decisions:
        """Return what will happen to the images at these (B,) addresses; all draws of a batch cost as much as two."""

        def chance(stream: int, probability: float) -> npt.NDArray[np.bool_]:
            if probability in (0.0, 1.0):
                return np.full(len(indices), probability == 1.0)
            return uniforms(self.seed, epochs, indices, stream=stream) < probability

        spoil = self.config.degrade
        chosen = [chance(_FIRST_OPERATION + k, op.probability) for k, op in enumerate(self.operations)]
        operations = np.stack(chosen, axis=1) if chosen else np.zeros((len(indices), 0), np.bool_)
        return Decisions(
            operations=operations,
            any_operation=np.asarray(operations.any(axis=1)).tolist(),
            flips=chance(_FLIP, self.config.horizontal_flip).tolist(),
            spoils=chance(_SPOIL, spoil.probability if spoil else 0.0).tolist(),
        )

    def __call__(self, image: Pixels, *, epoch: int, index: int) -> Pixels:
        """Return the (S, S, 3) uint8 image: the one given, untouched, or an altered copy."""

        def happens(stream: int, probability: float) -> bool:
            return uniform(self.seed, epoch, index, stream=stream) < probability

        chosen = [happens(_FIRST_OPERATION + k, op.probability) for k, op in enumerate(self.operations)]
        image, _ = self.operate(image, np.array(chosen, dtype=np.bool_), epoch=epoch, index=index)
        if happens(_FLIP, self.config.horizontal_flip):
            image = np.asarray(cv2.flip(image, 1), dtype=np.uint8)  # 4 us, where copying image[:, ::-1] takes 85
        spoil = self.config.degrade
        if spoil is not None and happens(_SPOIL, spoil.probability):
            image = self.spoil(image, epoch=epoch, index=index)
        return image

    def carry_out(
        self, decisions: Decisions, row: int, image: Pixels, place: Pixels, *, epoch: int, index: int
    ) -> npt.NDArray[np.float32] | None:
        """Write one image of a batch into its place, as decided, and return the (K,) strengths of its operations.

        Args:
            decisions: for the batch.
            row: of this image among them.
            image: (S, S, 3) uint8 RGB, which may be `place` itself.
            place: (S, S, 3) uint8, overwritten.
            epoch: of its address.
            index: of its address.

        Returns:
            0 for each operation that was not decided upon; None where that holds of all.
        """
        strengths = None
        if decisions.any_operation[row]:
            image, strengths = self.operate(image, decisions.operations[row], epoch=epoch, index=index)
        if decisions.flips[row]:
            cv2.flip(image, 1, dst=place)  # in place or not; 4 us, where copying image[:, ::-1] takes 85
            image = place
        if decisions.spoils[row]:
            image = self.spoil(image, epoch=epoch, index=index)
        if image is not place:
            place[...] = image
        return strengths

    def operate(
        self, image: Pixels, chosen: npt.NDArray[np.bool_], *, epoch: int, index: int
    ) -> tuple[Pixels, npt.NDArray[np.float32]]:
        """Return the image after the chosen operations, and the (K,) strength of each, 0 of those not chosen.

        Args:
            image: (S, S, 3) uint8 RGB; it is not altered, but comes back as it is where nothing was chosen.
            chosen: (K,) its row of `Decisions.operations`.
            epoch: of its address.
            index: of its address.
        """
        strengths = np.zeros(len(self.operations), dtype=np.float32)
        for k in np.flatnonzero(chosen).tolist():
            draws = Draws(self.seed, epoch, index, _FIRST_OPERATION + k)
            image, strengths[k] = self.operations[k].apply(image, draws)
        return image, strengths

    def spoil(self, image: Pixels, *, epoch: int, index: int) -> Pixels:
        """Return the image degraded as `config.degrade` says."""
        assert self.config.degrade is not None
        chance = uniform(self.seed, epoch, index, stream=_SPOIL_CHANCE)
        return degrade(image, self.config.degrade.kind, self.config.degrade.strength, chance=chance)
