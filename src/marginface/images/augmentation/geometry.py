"""Operations that take parts of an image away or move it: crop, cutout, affine. What is not there is black."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from marginface.errors import InputError
from marginface.images.augmentation.draws import Draws
from marginface.images.augmentation.operation import TEMPLATE_SIDE, OperationConfig, Pixels

_ATTEMPTS = 10


@dataclass(frozen=True, kw_only=True)
class CropConfig(OperationConfig):
    """Keep a rectangle at its own place on black, as AdaFace does (Kim et al., CVPR 2022); nothing is resized.

    The rectangle is drawn as torchvision's RandomResizedCrop draws it. Strength: share of the area that is lost.
    """

    kind: Literal["crop"] = "crop"
    area: tuple[float, float] = (0.2, 1.0)
    """Smallest and largest share of the area to keep, evenly drawn."""
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    """Smallest and largest width over height; its logarithm is evenly drawn."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range("area", 0.01, 1.0)
        self.check_range("aspect", 0.1, 10.0)

    def apply(self, image: Pixels, draws: Draws) -> tuple[Pixels, float]:
        """Return the rectangle on black, and the share of the area that is lost."""
        size = image.shape[0]
        top, left, height, width = self._rectangle(size, draws)
        canvas = np.zeros_like(image)
        canvas[top : top + height, left : left + width] = image[top : top + height, left : left + width]
        return canvas, 1.0 - height * width / size**2

    def _rectangle(self, size: int, draws: Draws) -> tuple[int, int, int, int]:
        for _ in range(_ATTEMPTS):
            area = size**2 * draws.uniform(*self.area)
            aspect = math.exp(draws.uniform(math.log(self.aspect[0]), math.log(self.aspect[1])))
            width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < width <= size and 0 < height <= size:
                return draws.integer(0, size - height), draws.integer(0, size - width), height, width
        return 0, 0, size, size  # torchvision's answer too, when a square image met no rectangle that fits


@dataclass(frozen=True, kw_only=True)
class HolesConfig(OperationConfig):
    """Blacken small squares. Strength: share of the pixels that are black for it."""

    kind: Literal["holes"] = "holes"
    num_holes: tuple[int, int] = (12, 20)
    """Fewest and most squares; they may overlap."""
    side: float = 16.0
    """Of a square, pixels of a 112-pixel crop."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range("num_holes", 1, 1000)
        if not 1 <= self.side <= TEMPLATE_SIDE:
            raise InputError(f"holes: a side of {self.side:g} pixels is outside 1 to {TEMPLATE_SIDE}.")

    def apply(self, image: Pixels, draws: Draws) -> tuple[Pixels, float]:
        """Return a copy with black squares, and the share of the pixels below them."""
        size = image.shape[0]
        side = max(1, round(self.side * size / TEMPLATE_SIDE))
        hidden = np.zeros((size, size), dtype=np.bool_)
        for _ in range(draws.integer(*self.num_holes)):
            top, left = draws.integer(0, size - side), draws.integer(0, size - side)
            hidden[top : top + side, left : left + side] = True
        return np.where(hidden[:, :, None], np.uint8(0), image), float(hidden.mean())


@dataclass(frozen=True, kw_only=True)
class AffineConfig(OperationConfig):
    """Turn, scale and shift, as CVLface's grid-sample augmentation does.

    An image that is scaled by s may move as far as it stays whole (or, when enlarged, as far as no black comes in), and
    by `extra_shift` more. Strength: root mean square way of the four corners, over the side.
    """

    kind: Literal["affine"] = "affine"
    scale: tuple[float, float] = (0.8, 1.2)
    """Smallest and largest factor."""
    rotation_probability: float = 0.2
    """Of being turned at all."""
    rotation_degrees: float = 20.0
    """Largest angle, either way."""
    extra_shift: float = 0.1
    """Largest further shift, of half the side."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range("scale", 0.1, 10.0)
        for name, high in (("rotation_probability", 1.0), ("rotation_degrees", 180.0), ("extra_shift", 1.0)):
            if not 0 <= getattr(self, name) <= high:
                raise InputError(f"affine: {name} {getattr(self, name):g} is outside 0 to {high:g}.")

    def apply(self, image: Pixels, draws: Draws) -> tuple[Pixels, float]:
        """Return the moved image on black, and how far its corners went."""
        size = image.shape[0]
        matrix = self._matrix(size, draws)
        moved = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        corners = np.array([[0, 0], [0, size], [size, 0], [size, size]], dtype=np.float64)
        way = corners @ matrix[:, :2].T + matrix[:, 2] - corners
        return np.asarray(moved, np.uint8), float(np.sqrt(np.square(way).sum(axis=1).mean()) / size)

    def _matrix(self, size: int, draws: Draws) -> np.ndarray:
        """Return the (2, 3) matrix x -> scale * (R (x - centre) - shift) + centre."""
        centre, scale = size / 2, draws.uniform(*self.scale)
        turned = draws.uniform() < self.rotation_probability
        angle = math.radians(draws.uniform(-self.rotation_degrees, self.rotation_degrees)) if turned else 0.0
        room = centre / scale - centre + draws.uniform(0, self.extra_shift) * centre
        shift = np.array([draws.sign() * draws.uniform() * room, draws.sign() * draws.uniform() * room])
        turn = scale * np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        return np.column_stack([turn, centre - turn @ (centre, centre) - scale * shift])
