"""The painter's ground: where on the head each pixel lies, and helpers to mix colours with soft edges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]
Window = tuple[slice, slice]


@dataclass(frozen=True)
class Canvas:
    """Square maps of one picture; lengths in millimetres, colours in linear light."""

    x: Array
    """(s, s) head coordinates of the surface in each pixel."""
    y: Array
    z: Array
    camera_x: Array
    """(s, s) camera coordinates, roll undone, y down."""
    camera_y: Array
    colour: Array
    """(3, s, s) what has been painted so far; changed in place."""
    face: Window
    """The smallest part with all of the head; what is painted on its skin shows nowhere else."""
    pixel_from_head: npt.NDArray[np.float64]
    """(2, 4): head coordinates with a 1 appended to pixels."""
    pixel_mm: float
    """Side of a pixel."""

    def window(self, spot: Iterable[float], reach_mm: float) -> Window | None:
        """Return the pixels within about `reach_mm` of a head position, or None where that is outside the picture."""
        px, py = (self.pixel_from_head @ np.array([*spot, 1.0])).tolist()
        reach, side = reach_mm / self.pixel_mm + 1.0, self.x.shape[0]
        top, bottom = max(int(py - reach), 0), min(int(py + reach) + 2, side)
        left, right = max(int(px - reach), 0), min(int(px + reach) + 2, side)
        return (slice(top, bottom), slice(left, right)) if top < bottom and left < right else None

    def band(self, low: float, high: float) -> Window:
        """Return the rows of `face` with a head height in low..high (millimetres)."""
        rows, columns = self.face
        y = self.y[self.face]
        found = extent((y > low) & (y < high), across=1)
        return slice(rows.start + found.start, rows.start + found.stop), columns

    def edge(self, inside_mm: Array, softness_mm: float = 0.0) -> Array:
        """Return 0..1 coverage from a signed distance, softened over a pixel or more."""
        width = max(softness_mm, 1.2 * self.pixel_mm)
        covered = inside_mm * np.float32(1.0 / width)
        covered += np.float32(0.5)
        return unit(covered, out=covered)

    def paint(self, window: Window, colour: npt.ArrayLike, alpha: Array) -> None:
        """Mix a colour (3,) or (3, h, w) into a part of the picture."""
        part = self.colour[:, *window]
        change = planes(colour) - part
        change *= alpha
        part += change

    def darken(self, window: Window, factor: tuple[float, float, float], alpha: Array) -> None:
        """Multiply by a factor (red, green, blue) where alpha is 1."""
        share = alpha * _losses(factor)
        np.subtract(1.0, share, out=share)
        part = self.colour[:, *window]
        part *= share


_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
EVERYWHERE: Window = (slice(None), slice(None))


def extent(covered: npt.NDArray[np.bool_], *, across: int) -> slice:
    """Return from the first to the last covered row (across 1) or column (across 0); the first where none is."""
    found = np.flatnonzero(covered.any(axis=across))
    return slice(int(found[0]), int(found[-1]) + 1) if found.size else slice(0, 1)


def linear(*srgb: float) -> Array:
    """Return linear light (3, 1, 1) from sRGB levels 0..255 (the square that `camera.expose` takes the root of)."""
    return planes(np.square(np.array(srgb, np.float32) / np.float32(255.0)))


@lru_cache(maxsize=64)
def _losses(factor: tuple[float, float, float]) -> Array:
    """Return (3, 1, 1): what `darken` takes away from each colour."""
    return planes(np.subtract(1.0, factor))


def unit(values: Array, out: Array | None = None) -> Array:
    """Return values clipped to 0..1, in `out` if given.

    With bounds of the values' own type `clip` takes a quarter of the time of `np.maximum` and `np.minimum`.
    """
    clipped: Array = values.clip(_ZERO, _ONE, out=out)
    return clipped


def planes(colour: npt.ArrayLike) -> Array:
    """Return a colour (3,) as (3, 1, 1), ready to be multiplied with maps (h, w); leave (3, h, w) as it is."""
    values = np.asarray(colour, np.float32)
    return values.reshape(3, 1, 1) if values.ndim == 1 else values


def mix(a: Array, b: Array, share: float) -> Array:
    """Return a at share 0 and b at share 1."""
    return a + (b - a) * np.float32(min(max(share, 0.0), 1.0))


@lru_cache(maxsize=1)
def noise_bank() -> dict[str, Array]:
    """Return noise (768, 768) of period 256, mean 0 and deviation 1: the same in every process.

    Three periods a side, because OpenCV's wrapping look-up is seven times slower than one that stays inside.
    """
    rng = np.random.default_rng(20240501)
    sigmas = {"fine": (0.6, 0.6), "mid": (2.0, 2.0), "coarse": (7.0, 7.0), "strands": (0.8, 16.0), "curls": (1.7, 2.4)}
    bank = {}
    for name, (sigma_x, sigma_y) in sigmas.items():
        tile = np.tile(rng.standard_normal((256, 256)).astype(np.float32), (3, 3))
        tile = cv2.GaussianBlur(tile, (0, 0), sigmaX=sigma_x, sigmaY=sigma_y)[256:512, 256:512]
        bank[name] = np.tile((tile - tile.mean()) / tile.std(), (3, 3))
    return bank


def noise(kind: str, x: Array, y: Array, *, pattern: int, scale: float) -> Array:
    """Return noise at positions, `scale` samples a millimetre, from the place in the tile that `pattern` names."""
    shift_x, shift_y = 256 + pattern % 251, 256 + (pattern // 251) % 241
    found: Array = cv2.remap(
        noise_bank()[kind],
        np.asarray(x * scale + shift_x, np.float32),
        np.asarray(y * scale + shift_y, np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return found
