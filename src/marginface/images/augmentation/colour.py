"""Operations on colour and light. Names and formulas are those of PIL's ImageEnhance, which torchvision calls.

A factor of 1 changes nothing; others scale the difference to a dull image, `dull + factor * (image - dull)`: to black
for brightness, to the mean grey for contrast, to the grey image for saturation, to a smoothed one for sharpness.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from marginface.errors import InputError
from marginface.images.augmentation.draws import Draws
from marginface.images.augmentation.operation import OperationConfig, Pixels, grey_of

_TO_ROUND_DOWN = 0.4999
"""Taken off before OpenCV rounds to the nearest: a hair less than one half, so that whole numbers stay."""

_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], dtype=np.float32) / 13  # PIL's ImageFilter.SMOOTH

_YIQ_OF_RGB = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.321], [0.211, -0.523, 0.311]])
_RGB_OF_YIQ = np.array([[1.0, 0.956, 0.621], [1.0, -0.272, -0.647], [1.0, -1.107, 1.705]])

GreyWeights = Literal["rgb", "bgr"]


def brighter(image: Pixels, factor: float, grey_weights: str = "rgb") -> Pixels:
    """Return the image with every value times `factor`."""
    return _scaled(image, factor, 0.0)


def more_contrast(image: Pixels, factor: float, grey_weights: str = "rgb") -> Pixels:
    """Return the image with every value's difference to the mean grey times `factor`."""
    mean = int(cv2.mean(grey_of(image, grey_weights))[0] + 0.5)
    return _scaled(image, factor, mean * (1 - factor))


def more_saturated(image: Pixels, factor: float, grey_weights: str = "rgb") -> Pixels:
    """Return the image with every value's difference to its pixel's grey times `factor`."""
    grey = cv2.cvtColor(grey_of(image, grey_weights), cv2.COLOR_GRAY2RGB)
    return _blend(grey, image, factor)


def sharper(image: Pixels, factor: float, grey_weights: str = "rgb") -> Pixels:
    """Return the image with its difference to a smoothed copy times `factor`; the outermost pixels stay."""
    smooth = image.copy()
    smooth[1:-1, 1:-1] = cv2.filter2D(image, -1, _SMOOTH)[1:-1, 1:-1]
    return _blend(smooth, image, factor)


def equalized(image: Pixels) -> Pixels:
    """Return the image with each channel's values spread so that all are about equally frequent (PIL's equalize)."""
    levels = np.empty((1, 256, 3), dtype=np.uint8)
    for channel in range(3):
        counts = cv2.calcHist([image], [channel], None, [256], [0, 256]).ravel().astype(np.int64)
        step = int(counts.sum() - counts[counts > 0][-1]) // 255
        below = np.cumsum(counts) - counts
        levels[0, :, channel] = np.minimum((step // 2 + below) // step, 255) if step else np.arange(256)
    return np.asarray(cv2.LUT(image, levels), np.uint8)


def greyed(image: Pixels, grey_weights: str = "rgb") -> Pixels:
    """Return the luma, three times."""
    return np.asarray(cv2.cvtColor(grey_of(image, grey_weights), cv2.COLOR_GRAY2RGB), np.uint8)


@dataclass(frozen=True, kw_only=True)
class PhotometricConfig(OperationConfig):
    """Brightness, contrast and saturation, all three in a random order: AdaFace's (Kim et al., CVPR 2022). No hue.

    Strength: the largest of the three |factor - 1|.
    """

    kind: Literal["photometric"] = "photometric"
    brightness: float = 0.5
    """Factors are evenly drawn from 1 - this to 1 + this."""
    contrast: float = 0.5
    saturation: float = 0.5
    grey_weights: GreyWeights = "rgb"
    """bgr repeats a slip of AdaFace's published code, which took BGR images for RGB here: grey then has the weights of
    red and blue swapped."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"photometric: {name} {getattr(self, name):g} is outside 0 to 1.")

    def apply(self, image: Pixels, draws: Draws) -> tuple[Pixels, float]:
        """Return the image in another light, and the largest |factor - 1|."""
        spans = (self.brightness, self.contrast, self.saturation)
        factors = [draws.uniform(1 - span, 1 + span) for span in spans]
        for which in draws.order(3):
            image = (brighter, more_contrast, more_saturated)[which](image, factors[which], self.grey_weights)
        return image, max(abs(factor - 1) for factor in factors)


@dataclass(frozen=True, kw_only=True)
class HueSaturationConfig(OperationConfig):
    """Turn and stretch colours, as DALI's `hsv` does it: a linear map in the YIQ space, so grey stays grey.

    Strength: the larger of hue / 180 and |factor - 1|.
    """

    kind: Literal["hue_saturation"] = "hue_saturation"
    hue_degrees: tuple[float, float] = (0.0, 20.0)
    """Smallest and largest turn."""
    saturation: tuple[float, float] = (1.0, 1.2)
    """Smallest and largest factor."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range("hue_degrees", -180.0, 180.0)
        self.check_range("saturation", 0.0, 10.0)

    def apply(self, image: Pixels, draws: Draws) -> tuple[Pixels, float]:
        """Return the image in other colours, and the larger of its two changes."""
        degrees, factor = draws.uniform(*self.hue_degrees), draws.uniform(*self.saturation)
        cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        turn = np.array([[1.0, 0.0, 0.0], [0.0, factor * cos, factor * sin], [0.0, -factor * sin, factor * cos]])
        turned = cv2.transform(image, _RGB_OF_YIQ @ turn @ _YIQ_OF_RGB)
        return np.asarray(turned, np.uint8), max(abs(degrees) / 180, abs(factor - 1))


@dataclass(frozen=True, kw_only=True)
class GrayscaleConfig(OperationConfig):
    """Take the colours away. Strength: 1."""

    kind: Literal["grayscale"] = "grayscale"
    grey_weights: GreyWeights = "rgb"
    """bgr swaps the weights of red and blue."""

    def apply(self, image: Pixels, draws: Draws) -> tuple[Pixels, float]:
        """Return the grey image, and 1."""
        return greyed(image, self.grey_weights), 1.0


@dataclass(frozen=True, kw_only=True)
class RandomPhotometricConfig(OperationConfig):
    """A few of seven changes of light, drawn one after another: CVLface's variant of RandAugment.

    The seven: none, brightness, saturation, contrast, sharpness, equalize, grayscale. The last two are drawn again, up
    to twice, so that they are rare. Strength: the largest |factor - 1|; 1 of equalize and grayscale.
    """

    kind: Literal["random_photometric"] = "random_photometric"
    num_operations: int = 2
    """How many are drawn; the same one may come twice."""
    magnitude: tuple[float, float] = (0.15, 0.66)
    """Smallest and largest |factor - 1|; more or less is a coin flip. CVLface draws from 18 steps of 0.03 between."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range("magnitude", 0.0, 1.0)
        if not 1 <= self.num_operations <= 10:
            raise InputError(f"random_photometric: num_operations {self.num_operations} is outside 1 to 10.")

    def apply(self, image: Pixels, draws: Draws) -> tuple[Pixels, float]:
        """Return the image in another light, and the strongest of its changes."""
        strength = 0.0
        for _ in range(self.num_operations):
            name = draws.one_of(_RANDOM_CHANGES)
            for _ in range(2):
                if name in ("equalize", "grayscale"):
                    name = draws.one_of(_RANDOM_CHANGES)
            change = draws.sign() * draws.uniform(*self.magnitude)
            image, done = _changed(image, name, change)
            strength = max(strength, done)
        return image, strength


_BY_FACTOR: dict[str, Callable[[Pixels, float], Pixels]] = {
    "brightness": brighter,
    "saturation": more_saturated,
    "contrast": more_contrast,
    "sharpness": sharper,
}
_RANDOM_CHANGES = ("none", *_BY_FACTOR, "equalize", "grayscale")


def _changed(image: Pixels, name: str, change: float) -> tuple[Pixels, float]:
    if name == "none":
        return image, 0.0
    if name == "equalize":
        return equalized(image), 1.0
    if name == "grayscale":
        return greyed(image), 1.0
    return _BY_FACTOR[name](image, 1.0 + change), abs(change)


def _scaled(image: Pixels, factor: float, offset: float) -> Pixels:
    """Return factor * image + offset, cut to 0..255 and rounded down as PIL does."""
    return np.asarray(cv2.addWeighted(image, factor, image, 0.0, offset - _TO_ROUND_DOWN), np.uint8)


def _blend(dull: Pixels, image: Pixels, factor: float) -> Pixels:
    """Return dull + factor * (image - dull), cut to 0..255 and rounded down as PIL does."""
    return np.asarray(cv2.addWeighted(image, factor, dull, 1.0 - factor, -_TO_ROUND_DOWN), np.uint8)
