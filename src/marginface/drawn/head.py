"""The head's surface: a skull of elliptic slices, and a relief of features on its front.

Head coordinates are millimetres: x to the right of the image in a frontal picture, y up from the pupils, z towards
the viewer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from marginface.drawn.identity import Identity
from marginface.drawn.nuisance import Nuisance

Array = npt.NDArray[np.floating]

RELIEF_X, RELIEF_Y = 96, 140
"""The relief covers x in [-96, 96] and y in [-140, 140], one sample a millimetre."""
_TABLE_Y, _TABLE_STEP = 180.0, 0.25


@dataclass(frozen=True)
class Head:
    """The surface: slices at each height, and a relief added to their front."""

    slices: Array
    """(3, T): half width a, depth b, axis z0 of the slice at each height, y = -180..180 by quarter millimetres."""
    relief: Array
    """(281, 193) millimetres added along the surface's outward direction; row 0 is y = -140."""

    def slice_at(self, y: Array) -> tuple[Array, Array, Array]:
        """Return a, b and z0 at each height, of the nearest slice."""
        row = ((y + np.float32(_TABLE_Y)) * np.float32(1.0 / _TABLE_STEP) + np.float32(0.5)).astype(np.intp)
        a, b, z0 = self.slices.take(row, axis=1, mode="clip")
        return a, b, z0

    def relief_at(self, x: Array, y: Array) -> Array:
        return sample(self.relief, x, y)

    def front(self, x: float, y: float) -> npt.NDArray[np.float64]:
        """Return the point (3,) of the front surface before (x, y)."""
        row = round((y + _TABLE_Y) / _TABLE_STEP)
        a, b, z0 = (float(v) for v in self.slices[:, min(max(row, 0), self.slices.shape[1] - 1)])
        reach = 1.0 + self._relief_at_point(x, y) / min(a, b)
        return np.array([x, y, z0 + b * math.sqrt(max(reach**2 - (x / a) ** 2, 0.0))])

    def _relief_at_point(self, x: float, y: float) -> float:
        """Return what `relief_at` does for one point, without the cost of arrays."""
        column = min(max(x + RELIEF_X, 0.0), 2.0 * RELIEF_X - 1.0)
        row = min(max(y + RELIEF_Y, 0.0), 2.0 * RELIEF_Y - 1.0)
        j, i = int(column), int(row)
        (p, q), (r, s) = self.relief[i : i + 2, j : j + 2].tolist()
        right, up = column - j, row - i
        return float((p + (q - p) * right) * (1.0 - up) + (r + (s - r) * right) * up)


def sample(field: Array, x: Array, y: Array) -> Array:
    """Return a frontal field of one value a millimetre (rows from y = -140) at head coordinates."""
    column, row = x + np.float32(RELIEF_X), y + np.float32(RELIEF_Y)
    found: Array = cv2.remap(field, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return found


def build_head(identity: Identity, nuisance: Nuisance) -> Head:
    """Return the person's head with the expression of the picture."""
    slices, relief = _rest_head(identity)
    smile, gape = nuisance.smile, nuisance.mouth_open
    if smile or gape or nuisance.brow_raise:
        x, y = frontal_grid()
        width, height = identity.mouth_width, identity.mouth_height
        relief = relief + (3.4 * smile) * _bump(np.abs(x) - 40, y + 38, 15, 13)
        if smile > 0.0:
            rows, fold = _smile_fold(identity, smile)
            relief[rows] -= (1.6 * smile) * fold
        if gape:
            relief -= (2.0 * gape) * _bump(x, y - height + 4, width, 8)
        if nuisance.brow_raise:
            relief += (1.2 * nuisance.brow_raise) * _bump(np.abs(x) - 26, y - identity.brow_height - 5, 16, 5)
    if gape:  # an open jaw moves everything below the mouth down
        y_table = _heights()
        drop = 9.0 * gape / (1.0 + np.exp((y_table - identity.mouth_height) / 6.0))
        slices = np.stack([np.interp(y_table + drop, y_table, row) for row in slices]).astype(np.float32)
    return Head(slices=slices, relief=relief)


def mouth_corner(identity: Identity, nuisance: Nuisance) -> tuple[float, float]:
    """Return (x, y) of the right corner of the mouth under the picture's expression."""
    smile, gape = nuisance.smile, nuisance.mouth_open
    x = identity.mouth_width * (1.0 + 0.17 * smile - 0.08 * gape)
    y = identity.mouth_height + identity.mouth_corner + 3.6 * smile - 2.0 * gape
    return x, y


@lru_cache(maxsize=1)
def frontal_grid() -> tuple[Array, Array]:
    """Return x (1, 193) and y (281, 1) of the relief's samples."""
    x = np.arange(-RELIEF_X, RELIEF_X + 1, dtype=np.float32)[None, :]
    y = np.arange(-RELIEF_Y, RELIEF_Y + 1, dtype=np.float32)[:, None]
    return x, y


def _heights() -> npt.NDArray[np.float64]:
    return np.arange(-_TABLE_Y, _TABLE_Y + _TABLE_STEP, _TABLE_STEP)


def _bump(dx: Array, dy: Array, width: float, height: float) -> Array:
    """Return a separable hill of height 1."""
    hill: Array = np.exp(-0.5 * (dx / width) ** 2) * np.exp(-0.5 * (dy / height) ** 2)
    return hill


def _smile_fold(identity: Identity, smile: float) -> tuple[slice, Array]:
    """Return the fold that runs from the wing of the nose past the corner of the mouth: its rows, and its height."""
    x, every_y = frontal_grid()
    top, bottom = identity.nose_tip_height - 4, identity.mouth_height - 6
    rows = slice(int(bottom - 8) + RELIEF_Y, int(top + 8) + RELIEF_Y)  # it is 0 elsewhere
    y = every_y[rows]
    along = np.clip((top - y) / (top - bottom), 0, 1)
    middle = identity.nose_width + 3 + (identity.mouth_width - identity.nose_width + 7 + 3 * smile) * along**0.8
    fade = np.clip((top + 6 - y) / 8, 0, 1) * np.clip((y - bottom + 8) / 12, 0, 1)
    return rows, np.exp(-0.5 * np.square((np.abs(x) - middle) / 2.2)) * fade


@lru_cache(maxsize=64)
def _rest_head(who: Identity) -> tuple[Array, Array]:
    """Return the slices and the relief of the face at rest; kept, as a person's pictures are drawn together."""
    y = _heights()
    crown, chin = who.head_height, who.chin_height
    width_at = [
        (chin - 6, who.chin_width * 0.5),
        (chin + 6, who.chin_width + 4),
        (who.jaw_height - 16, 0.45 * who.chin_width + 0.6 * who.jaw_width),
        (who.jaw_height, who.jaw_width + 2),
        (-45.0, 0.45 * who.jaw_width + 0.57 * who.cheek_width + 1.0),
        (-22.0, who.cheek_width),
        (5.0, 0.5 * (who.cheek_width + who.head_width)),
        (35.0, who.head_width),
        (70.0, who.head_width * 0.96),
        (crown, who.head_width * 0.8),
    ]
    front_at = [
        (chin - 6, who.face_depth - 16 + who.chin_forward),
        (chin + 8, who.face_depth - 7 + who.chin_forward),
        (-88.0, who.face_depth - 6),
        (-60.0, who.face_depth - 1),
        (-20.0, who.face_depth - 4),
        (5.0, who.face_depth - 2),
        (25.0, who.face_depth),
        (65.0, who.face_depth - who.forehead_slope),
        (crown, who.face_depth - 18 - who.forehead_slope),
    ]
    a = _smooth(_through(width_at, y), 7.0)
    front = _smooth(_through(front_at, y), 6.0)
    z0 = _smooth(np.interp(y, [chin, -70, -30, 0], [34.0, 26.0, 6.0, 0.0]), 8.0)
    b = front - z0
    dome = np.sqrt(np.clip(1.0 - (np.clip(y - crown * 0.3, 0, None) / (crown * 0.7)) ** 2.4, 0, 1))
    chin_round = np.sqrt(np.clip(1.0 - (np.clip(chin + 20 - y, 0, None) / 20.0) ** 2, 0, 1)) ** 0.8
    cap = np.maximum(dome * chin_round, 0.02)
    table = np.stack([a * cap, b * cap, z0])
    return table.astype(np.float32), _rest_relief(who)


def _through(knots: list[tuple[float, float]], y: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.interp(y, [knot[0] for knot in knots], [knot[1] for knot in knots])


def _smooth(values: npt.NDArray[np.float64], sigma_mm: float) -> npt.NDArray[np.float64]:
    """Return what `cv2.GaussianBlur` does, which takes six times as long on a single column of doubles."""
    sigma = sigma_mm / _TABLE_STEP
    reach = math.ceil(4.0 * sigma)
    kernel = cv2.getGaussianKernel(2 * reach + 1, sigma, cv2.CV_64F)[:, 0]
    return np.convolve(np.pad(values, reach, mode="reflect"), kernel, "valid")


def _rest_relief(who: Identity) -> Array:
    x, y = frontal_grid()
    side = np.abs(x)
    tip, base = who.nose_tip_height, who.nose_tip_height - 11.0
    # nose: a ridge that rises from the bridge to the tip, a ball at the tip, two wings
    along = np.clip(-(y - 4) / -(tip - 4), 0, 1)
    ridge = who.bridge_height * (1 - along) + (who.nose_length - 4) * along**1.15
    ridge = ridge + who.nose_hump * 2.0 * np.sin(np.pi * along) * (along < 1)
    ridge = ridge * np.clip((18 - y) / 20, 0, 1) ** 1.5 / (1 + np.exp(-(y - tip + 4 + 0.4 * who.nose_upturn) / 1.9))
    half = 1.25 * who.bridge_width + (0.66 * who.nose_width - who.bridge_width) * along**1.5
    bent = x - who.nose_bend * along
    relief: Array = ridge * np.exp(-0.78 * np.square(bent / half))
    ball_y = tip - 1 + 0.5 * who.nose_upturn
    relief += 4.6 * _bump(x - who.nose_bend, y - ball_y, who.nose_ball * 0.72, who.nose_ball * 0.66)
    # a wing is exactly 0 from 29.4 mm beside its middle and 31.5 mm above it: no need to look at the rest of the grid
    middle = int(base) + 4 + RELIEF_Y
    reach = slice(middle - 34, middle + 34), slice(RELIEF_X - 49, RELIEF_X + 50)
    across, up = (side[:, reach[1]] - who.nose_width + 5.2) / 5.6, (y[reach[0]] - base - 4) / 6.0
    relief[reach] += 7.0 * np.exp(-((across**2 + up**2) ** 1.4))
    relief += 6.0 * _bump(x - who.nose_bend, y - base - 3, 4.2, 4.5)
    # eyes: sockets with the ball of the eye inside, the bone above
    relief -= who.eye_depth * _bump(side - who.eye_distance + 1, y - 1, 15.5, 9.5)
    relief += 3.6 * _bump(side - who.eye_distance, y, 10.5, 7)
    relief += who.brow_ridge * _bump(side - 24, y - who.brow_height + 3, 17, 6)
    relief -= 1.6 * who.eye_bags * _bump(side - who.eye_distance, y + 13, 12, 2.6)
    # cheeks, temples
    relief += who.cheekbone * _bump(side - 46, y + 26, 15, 11)
    relief += who.cheek_fullness * _bump(side - 43, y + 60, 16, 17)
    relief -= 3.0 * _bump(side - 66, y - 30, 12, 20)
    rows, fold = _smile_fold(who, 0.0)
    relief[rows] -= 1.6 * who.smile_fold * fold
    # mouth and chin
    mouth = who.mouth_height
    relief += (1.6 + 0.3 * who.upper_lip) * _bump(x, y - mouth - 0.45 * who.upper_lip, 17, 3.2)
    relief += (2.0 + 0.3 * who.lower_lip) * _bump(x, y - mouth + 0.55 * who.lower_lip, 15, 3.6)
    relief -= 1.1 * _bump(x, y - (base + mouth + who.upper_lip) / 2, 2.6, 5)
    relief -= 2.8 * _bump(x, y - mouth + who.lower_lip + 8, 17, 4.5)
    relief += (2.5 + 0.5 * who.chin_forward) * _bump(x, y - who.chin_height - 14, 13, 8)
    relief -= who.chin_cleft * _bump(x, y - who.chin_height - 12, 1.8, 7)
    return relief
