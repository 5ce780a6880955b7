"""What stands around and before the face: background, neck, clothes, hats, glasses and other things."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from marginface.drawn.canvas import EVERYWHERE, Array, Canvas, extent, linear, noise, unit
from marginface.drawn.head import Head
from marginface.drawn.identity import Identity
from marginface.drawn.nuisance import Nuisance
from marginface.drawn.skin import shade_like


def background(picture: Nuisance, side: int) -> Array:
    """Return (3, side, side): blurred patches of colour, some with straight edges, as rooms and streets have."""
    rng = np.random.default_rng([picture.detail, 2])
    base = rng.uniform(0.03, 0.8) * (1.0 + rng.normal(0, 0.1, 3))
    patches = np.clip(base + rng.normal(0, 0.13, (5, 5, 1)) + rng.normal(0, 0.02, (5, 5, 3)), 0.01, 0.95)
    small = cv2.resize(patches.astype(np.float32), (28, 28), interpolation=cv2.INTER_CUBIC)
    for _ in range(int(rng.integers(0, 4))):
        x0, y0 = (int(v) for v in rng.integers(-6, 26, 2))
        x1, y1 = x0 + int(rng.integers(3, 24)), y0 + int(rng.integers(3, 30))
        box = small[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
        box += 0.75 * (rng.uniform(0.02, 0.85) * (1.0 + rng.normal(0, 0.16, 3)) - box)
    small = small.clip(np.float32(0.005), np.float32(1.0))
    return np.stack(cv2.split(cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR)))


def _dye(rng: np.random.Generator) -> Array:
    """Return the colour (3, 1, 1) of a piece of cloth: mostly muted, now and then bright."""
    level, bright = rng.uniform(25, 215), 0.3 if rng.random() < 0.25 else 0.11
    return linear(*np.clip(level * (1.0 + rng.normal(0, bright, 3)), 5, 240))


def paint_neck(canvas: Canvas, who: Identity, picture: Nuisance, tone: Array) -> None:
    """Paint neck, and clothes below it."""
    rng = np.random.default_rng([picture.detail, 3])
    middle = -26.0 * math.sin(picture.yaw)
    below = np.flatnonzero(canvas.camera_y.max(axis=1) > 40.0)
    if not below.size:
        return
    rows = (slice(int(below[0]), None), slice(None))
    x, y = canvas.camera_x[rows] - np.float32(middle), canvas.camera_y[rows]
    half = 0.84 * who.jaw_width + 0.0035 * np.clip(y - 120.0, 0.0, None) ** 2
    round_off = unit(1.0 - (x / half) ** 2)
    value = 0.18 + (0.22 + 0.34 * unit((y - 112.0) / 60.0)) * np.sqrt(round_off)
    neck = shade_like(tone, 0.35) * value
    canvas.paint(rows, neck, canvas.edge(np.minimum(half - np.abs(x), y - 40.0), 2.0))
    cloth = _dye(rng) * np.float32(0.7)
    collar = (
        y
        - (104.0 + 0.4 * who.jaw_width + rng.uniform(0, 22))
        - 0.32 * np.abs(x)
        + 18.0 * np.exp(-np.square((np.abs(x) - half) / 16.0))
    )
    canvas.paint(rows, cloth, canvas.edge(np.minimum(collar, 190.0 - np.abs(x)), 2.0))


def paint_hat(canvas: Canvas, picture: Nuisance, rim: Array, light: Array) -> None:
    """Paint a cap over the hair, and the shadow of its edge."""
    if picture.hat <= 0.0:
        return
    rng = np.random.default_rng([picture.detail, 4])
    cloth = _dye(rng)
    bottom = 78.0 - 46.0 * picture.hat
    inside = np.minimum(canvas.y - bottom - 0.0016 * canvas.x**2, rim + 3.0 + 0.16 * (canvas.y - bottom))
    canvas.darken(EVERYWHERE, (0.5, 0.47, 0.46), canvas.edge(inside + 9.0, 14.0) * canvas.edge(rim) * 0.7)
    band = 0.8 + 0.2 * unit((canvas.y - bottom - 12.0) / 2.0)
    weave = 1.0 + 0.05 * noise("fine", canvas.camera_x, canvas.camera_y, pattern=picture.detail, scale=1.0)
    canvas.paint(EVERYWHERE, cloth * (0.3 + 0.7 * light) * (band * weave), canvas.edge(inside, 1.5))


def paint_glasses(canvas: Canvas, who: Identity, picture: Nuisance, head: Head, view: npt.NDArray[np.float64]) -> None:
    """Paint glasses that stand in a plane before the eyes."""
    if picture.glasses == "none":
        return
    rng = np.random.default_rng([picture.detail, 5])
    half_w, half_h = rng.uniform(20.5, 26.5), rng.uniform(13.5, 22.0)
    corner, thick = rng.uniform(3.5, 8.0) + 0.35 * half_h, rng.uniform(0.5, 1.7)
    corner = min(corner, half_h)
    level = rng.uniform(12, 60) if rng.random() < 0.7 else rng.uniform(110, 190)
    frame = linear(*(level * (1.0 + rng.normal(0, 0.09, 3))))
    plane_z = float(head.front(0.0, 3.0)[2]) + 3.0
    # camera position -> position in the plane z = plane_z of the head
    to_plane = np.linalg.inv(np.array([[view[0, 0], view[0, 1]], [view[1, 0], view[1, 1]]]))
    cx = canvas.camera_x - np.float32(view[0, 2] * plane_z)
    cy = -canvas.camera_y - np.float32(view[1, 2] * plane_z)
    y = np.float32(to_plane[1, 0]) * cx + np.float32(to_plane[1, 1]) * cy + np.float32(3.0)
    # 14 mm above and below the glasses their shadow fades below what float32 takes from 1
    rows = (extent(np.abs(y) < half_h + 16.0, across=1), slice(None))
    cx, cy, y = cx[rows], cy[rows], y[rows]
    x = np.float32(to_plane[0, 0]) * cx + np.float32(to_plane[0, 1]) * cy
    side = np.abs(x)
    middle = max(who.eye_distance + 1.5, half_w + 5.0)
    qx, qy = np.abs(side - middle) - (half_w - corner), np.abs(y) - (half_h - corner)
    outside = np.sqrt(np.maximum(qx, 0) ** 2 + np.maximum(qy, 0) ** 2) + np.minimum(np.maximum(qx, qy), 0) - corner
    if picture.glasses == "dark":
        canvas.darken(rows, (0.10, 0.10, 0.11), canvas.edge(-outside) * 0.93)
    else:
        canvas.paint(rows, (0.9, 0.93, 0.95), canvas.edge(-outside) * np.float32(0.05))
    glare = np.exp(-(((x + y - rng.uniform(-30, 30)) / 5.0) ** 2)) * canvas.edge(-outside) * rng.uniform(0.0, 0.5)
    canvas.paint(rows, (1.0, 1.0, 1.0), glare.astype(np.float32) * np.float32(picture.light_strength))
    shadow = np.exp(-(((outside + 0.0) / 3.0) ** 2)) * (y < 0)
    canvas.darken(rows, (0.75, 0.7, 0.68), shadow * 0.5)
    bridge = np.minimum(1.3 - np.abs(y - 4.0 + 0.02 * x * x), middle - half_w - side)
    arm = np.minimum(np.minimum(1.6 - np.abs(y - 0.5 * half_h), side - middle - half_w), 78.0 - side)
    metal = np.maximum(np.maximum(thick - np.abs(outside), bridge), arm)
    canvas.paint(rows, frame, canvas.edge(metal, 0.9))


def paint_occluder(canvas: Canvas, who: Identity, picture: Nuisance, rim: Array, light: Array) -> None:
    """Paint a medical mask, a scarf, or something held before the face."""
    if picture.occluder == "none" or picture.occluder_size <= 0.0:
        return
    rng = np.random.default_rng([picture.detail, 6])
    cloth = _dye(rng)
    x, y = canvas.x, canvas.y
    if picture.occluder == "mask":
        cloth = linear(168, 200, 214) if rng.random() < 0.6 else cloth
        top = who.nose_tip_height + 16.0 * picture.occluder_size + 2.0 - 0.006 * x * x
        inside = np.minimum(np.minimum(top - y, canvas.z - 12.0), rim + 2.0)
        folds = 1.0 + 0.06 * np.sin(y * 0.55)
        canvas.paint(EVERYWHERE, cloth * light * folds, canvas.edge(inside, 1.5))
    elif picture.occluder == "scarf":
        fold = noise("coarse", canvas.camera_x, canvas.camera_y, pattern=picture.detail, scale=0.5)
        inside = (
            canvas.camera_y
            + (who.mouth_height + 26.0 * (picture.occluder_size - 1.0))
            + 4.0 * fold
            - 0.002 * canvas.camera_x**2
        )
        canvas.paint(EVERYWHERE, cloth * (0.75 + 0.16 * fold), canvas.edge(inside, 2.0))
    else:
        angle = rng.uniform(0, 2 * np.pi)
        away = rng.uniform(52, 80) - 26.0 * picture.occluder_size
        dx = canvas.camera_x - np.float32(away * math.cos(angle))
        dy = canvas.camera_y - np.float32(38.0 + away * math.sin(angle))
        turn = rng.uniform(0, np.pi)
        u, v = dx * math.cos(turn) + dy * math.sin(turn), dy * math.cos(turn) - dx * math.sin(turn)
        half = 14.0 + 22.0 * picture.occluder_size
        inside = half * (
            1.0 - np.sqrt(np.sqrt(np.square(np.square(u / (1.7 * half))) + np.square(np.square(v / half))))
        )
        value = 0.75 + 0.2 * np.tanh(v / half) + 0.05 * noise("mid", u, v, pattern=picture.detail, scale=0.6)
        canvas.paint(EVERYWHERE, cloth * value.astype(np.float32), canvas.edge(inside.astype(np.float32), 1.5))
