"""Operations that blur: fewer pixels, a lens out of focus, a hand that moved, a file that was saved too small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import simplejpeg
import torch
from torch.nn.functional import interpolate

from marginface.errors import InputError, one_of
from marginface.images.augmentation.draws import Draws
from marginface.images.augmentation.operation import TEMPLATE_SIDE, OperationConfig, Pixels
from marginface.images.degrade import gaussian, motion

INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "area": cv2.INTER_AREA,
    "cubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
}
"""OpenCV's, of which AdaFace draws."""
METHODS = (*INTERPOLATIONS, "triangle")
"""triangle: linear, over as many pixels as one of the small image covers; DALI's, Pillow's and torch's antialiasing."""


@dataclass(frozen=True, kw_only=True)
class LowResolutionConfig(OperationConfig):
    """Shrink and enlarge again, by two methods drawn independently of each other: AdaFace's (Kim et al., CVPR 2022).

    Strength: 1 - (side of the small image over that of the large one).
    """

    kind: Literal["low_resolution"] = "low_resolution"
    side: tuple[float, float] = (0.2, 1.0)
    """Smallest and largest side of the small image, of that of the large one; rounded down to whole pixels."""
    down: tuple[str, ...] = tuple(INTERPOLATIONS)
    """Methods of shrinking to draw from."""
    up: tuple[str, ...] = tuple(INTERPOLATIONS)
    """Methods of enlarging to draw from."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range("side", 0.01, 1.0)
        for name in (*self.down, *self.up):
            if name not in METHODS:
                raise InputError(f"low_resolution: there is no interpolation {name!r}{one_of(name, list(METHODS))}.")
        if not (self.down and self.up):
            raise InputError("low_resolution: down and up need at least one interpolation each.")

    def apply(self, image: Pixels, draws: Draws) -> tuple[Pixels, float]:
        """Return the image with fewer pixels' worth of detail, and the share of the side that is lost."""
        size = image.shape[0]
        small_side = max(1, int(draws.uniform(*self.side) * size))
        down, up = draws.one_of(self.down), draws.one_of(self.up)
        small = _resized(image, small_side, down)
        return _resized(small, size, up), 1.0 - small_side / size


def _resized(image: Pixels, side: int, method: str) -> Pixels:
    """Return the image with another side, as OpenCV does it but for triangles; Lanczos' filter in floats.

    Of bytes OpenCV computes Lanczos with weights rounded to 11 bits and without vector instructions, in more than twice
    the time. One value in fifteen differs by one grey level.
    """
    if method == "triangle":
        planes = torch.from_numpy(image).permute(2, 0, 1)[None]
        small = interpolate(planes, size=(side, side), mode="bilinear", antialias=True)
        return np.ascontiguousarray(small[0].permute(1, 2, 0).numpy())
    if method != "lanczos":
        return np.asarray(cv2.resize(image, (side, side), interpolation=INTERPOLATIONS[method]), np.uint8)
    floats = cv2.resize(image.astype(np.float32), (side, side), interpolation=cv2.INTER_LANCZOS4)
    return np.asarray(cv2.add(floats, 0.0, dtype=cv2.CV_8U), np.uint8)  # rounds and cuts to 0..255 in one pass


@dataclass(frozen=True, kw_only=True)
class GaussianBlurConfig(OperationConfig):
    """Out of focus. Strength: the standard deviation over a tenth of the side."""

    kind: Literal["gaussian_blur"] = "gaussian_blur"
    sigma: tuple[float, float] = (0.5, 3.0)
    """Smallest and largest standard deviation, pixels of a 112-pixel crop."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range("sigma", 0.0, 20.0)

    def apply(self, image: Pixels, draws: Draws) -> tuple[Pixels, float]:
        """Return the blurred image, edges mirrored, and its standard deviation over a tenth of the side."""
        share = draws.uniform(*self.sigma) / TEMPLATE_SIDE
        sigma = share * image.shape[0]
        return (gaussian(image, sigma, 0.0) if sigma > 0.05 else image.copy()), 10 * share  # less does not move a byte


@dataclass(frozen=True, kw_only=True)
class WindowBlurConfig(OperationConfig):
    """Average over a window of whole pixels, as DALI and imgaug do. Strength: (window - 1) over a tenth of the side."""

    kind: Literal["window_blur"] = "window_blur"
    shape: Literal["gaussian", "box"] = "gaussian"
    """gaussian: of standard deviation 0.15 * window + 0.35, as DALI and OpenCV choose it; box: all pixels alike."""
    windows: tuple[int, ...] = (3, 5)
    """Widths to draw from, pixels; odd ones for a Gaussian."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.windows or any(not 1 <= w <= 99 or (self.shape == "gaussian" and w % 2 == 0) for w in self.windows):
            raise InputError(
                f"window_blur: windows {list(self.windows)} have to be numbers from 1 to 99, odd for a Gaussian."
            )

    def apply(self, image: Pixels, draws: Draws) -> tuple[Pixels, float]:
        """Return the blurred image, edges mirrored, and (window - 1) over a tenth of the side."""
        window = draws.one_of(self.windows)
        if self.shape == "gaussian":
            blurred = cv2.GaussianBlur(image, (window, window), 0, borderType=cv2.BORDER_REFLECT_101)
        else:
            blurred = cv2.blur(image, (window, window), borderType=cv2.BORDER_REFLECT_101)
        return np.asarray(blurred, np.uint8), (window - 1) / (0.1 * image.shape[0])


@dataclass(frozen=True, kw_only=True)
class MotionBlurConfig(OperationConfig):
    """Camera or face moved along a line while the picture was taken. Strength: length over a fifth of the side."""

    kind: Literal["motion_blur"] = "motion_blur"
    length: tuple[float, float] = (3.0, 15.0)
    """Shortest and longest way, pixels of a 112-pixel crop."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range("length", 1.0, 100.0)

    def apply(self, image: Pixels, draws: Draws) -> tuple[Pixels, float]:
        """Return the smeared image, and its way over a fifth of the side."""
        share = draws.uniform(*self.length) / TEMPLATE_SIDE
        # In quarters of a pixel and sixteenths of a half turn, so that there are few kernels and each is built once.
        length = max(1.0, round(share * image.shape[0] * 4) / 4)
        return motion(image, length, draws.integer(0, 15) / 16), 5 * share


@dataclass(frozen=True, kw_only=True)
class JpegConfig(OperationConfig):
    """Saved again as a JPEG with halved colour planes, as phones and messengers do. Strength: 1 - quality / 100."""

    kind: Literal["jpeg"] = "jpeg"
    quality: tuple[int, int] = (20, 80)
    """Lowest and highest quality."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range("quality", 1, 100)

    def apply(self, image: Pixels, draws: Draws) -> tuple[Pixels, float]:
        """Return the image out of the file, and 1 - quality / 100."""
        quality = draws.integer(*self.quality)
        data = simplejpeg.encode_jpeg(
            np.ascontiguousarray(image), quality=quality, colorspace="RGB", colorsubsampling="420"
        )
        return np.asarray(simplejpeg.decode_jpeg(data, colorspace="RGB"), np.uint8), 1.0 - quality / 100
