"""Hair in two layers, behind the head and on it, and the ears that it may cover."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marginface.drawn.canvas import EVERYWHERE, Array, Canvas, linear, mix, noise, planes, unit
from marginface.drawn.head import Head
from marginface.drawn.identity import Identity
from marginface.drawn.nuisance import Nuisance

_BLOND, _BROWN, _BLACK = linear(196, 162, 112), linear(92, 62, 42), linear(30, 25, 24)
_INFINITY = np.float32(np.inf)
"""The other bound where there is one only: `np.maximum` with a number takes twice as long as `clip`."""
_RED, _GREY = linear(150, 74, 38), linear(176, 174, 172)


def colour(who: Identity) -> Array:
    """Return the hair's colour (3,) in linear light."""
    dark = who.hair_darkness
    plain = mix(_BLOND, _BROWN, 2 * dark) if dark < 0.5 else mix(_BROWN, _BLACK, 2 * dark - 1)
    warm = mix(plain, _RED * (1.3 - dark), max(who.hair_redness - 0.45, 0.0) * 1.5 * (1 - dark**2))
    return mix(warm, _GREY, who.hair_grey)


def brow_colour(who: Identity, hair: Array) -> Array:
    """Return the brows' colour: darker than the hair, less grey."""
    return mix(hair * 0.55, linear(60, 42, 32), 0.35 * (1 - who.hair_darkness))


def _strands(canvas: Canvas, who: Identity) -> Array:
    """Return (s, s) texture, mean 0: strands that run down the head, turning into curls."""
    x, y, z = canvas.x, canvas.y, canvas.z
    across = x + 0.6 * z
    straight = noise("strands", across, y, pattern=who.pattern + 13, scale=0.9)
    if who.hair_curl < 0.15:
        return straight
    curls = noise(
        "curls", canvas.camera_x, canvas.camera_y, pattern=who.pattern + 17, scale=0.55 + 0.35 * who.hair_curl
    )
    return straight + (curls - straight) * np.float32(min(1.0, 1.3 * who.hair_curl))


@dataclass(frozen=True)
class Coat:
    """The hair of one picture, before it is cut to its outline."""

    strands: Array
    """(s, s) texture, mean 0."""
    colour: Array
    """(3, s, s) under the head's light."""
    thickness: Array
    """(s, s) millimetres over the head's outline at each height; far below 0 under its end."""
    length: float
    """Height of its end."""


def comb(canvas: Canvas, who: Identity, picture: Nuisance, hair: Array, light: Array) -> Coat:
    """Return the hair as it lies today; it lets light through, so that it has less contrast than skin."""
    strands = _strands(canvas, who)
    colour = np.float32(0.62) * light
    colour += np.float32(0.38)
    colour *= hair
    colour *= (1.0 + 0.3 * strands).clip(np.float32(0.3), _INFINITY)
    length = who.hair_length + 6.0 * picture.hair_jitter
    return Coat(strands=strands, colour=colour, thickness=_thickness(canvas, who, picture, length), length=length)


def _thickness(canvas: Canvas, who: Identity, picture: Nuisance, length: float) -> Array:
    volume = who.hair_volume * (1.0 + 0.18 * picture.hair_jitter) * (1.0 + 0.5 * who.hair_curl)
    if who.hairline > 86:
        volume *= 0.4
    rise = unit((canvas.y - 15.0) / 55.0)
    low_share = 0.32 if length > -35 else 0.85
    thick = volume * (low_share + (1.0 - low_share) * rise)
    end = unit((canvas.y - length) / 10.0)
    taper = unit((canvas.y - length) / (48.0 if length > -35 else 10.0))  # short hair lies close where it ends
    thickness: Array = thick * taper - 12.0 * (1.0 - end)
    return thickness


def paint_behind(canvas: Canvas, who: Identity, picture: Nuisance, coat: Coat, rim: Array) -> None:
    """Paint the hair whose outline stands behind the head, long hair down to its end."""
    wave = (0.5 + 2.6 * who.hair_curl) * coat.strands
    inside = rim + coat.thickness + wave
    if coat.length < -45:
        middle = -22.0 * math.sin(picture.yaw)
        half = who.head_width + 0.75 * who.hair_volume - 0.02 * (canvas.camera_y - 40.0) ** 2 / 20.0
        hang = np.minimum(half - np.abs(canvas.camera_x - middle), -coat.length - canvas.camera_y)
        inside = np.maximum(inside, np.minimum(hang + wave, canvas.camera_y + 25.0))
    canvas.paint(EVERYWHERE, coat.colour * np.float32(0.72), canvas.edge(inside, 2.2))


def paint_before(canvas: Canvas, who: Identity, picture: Nuisance, coat: Coat, rim: Array) -> None:
    """Paint the hair that lies on the head: above the hairline, at the sides, and a fringe."""
    x, y, z = canvas.x, canvas.y, canvas.z
    side = np.abs(x)
    line = (
        who.hairline
        + who.hairline_curve * np.exp(-(((side - 36) / 15) ** 2))
        - 26.0 * np.square(np.square(side / 66.0))
    )
    if who.fringe > 0:
        swing = unit(np.abs(x - who.hair_parting - 5.0 * picture.hair_jitter) / 26.0)
        line = line - (who.fringe + 3.0 * picture.hair_jitter) * swing * np.exp(-np.square(np.square(side / 62)))
    top = y - line
    forward = 10.0 if coat.length > -35 else 20.0 + 0.5 * who.hair_volume
    sideburn = max(coat.length, -18.0 - 20.0 * who.beard) if coat.length > -35 else coat.length
    sides = np.minimum(forward - z, y - sideburn)
    inside = np.maximum(top, sides) + (1.6 + 1.5 * who.hair_curl) * coat.strands
    alpha = canvas.edge(inside, 5.0) * canvas.edge(rim + coat.thickness.clip(np.float32(0.0), _INFINITY), 2.0)
    if who.hairline > 86:
        alpha = alpha * 0.75
    shadow = canvas.edge(inside + 5.0, 9.0) * canvas.edge(rim)
    canvas.darken(EVERYWHERE, (0.72, 0.66, 0.64), shadow * 0.5)
    canvas.paint(EVERYWHERE, coat.colour, alpha)


def paint_ears(
    canvas: Canvas,
    who: Identity,
    picture: Nuisance,
    head: Head,
    view: npt.NDArray[np.float64],
    tone: Array,
    *,
    behind: bool,
) -> None:
    """Paint the ears that stand behind the head's outline, or those that turn towards the camera."""
    a, _, _ = head.slice_at(np.full((1, 1), -10.0, np.float32))
    for side in (-1, 1):
        seen = float(view[2, 0]) * side  # how far the side of the head faces the camera
        if (seen <= 0.12) != behind or seen < -0.6:
            continue
        root = np.array([side * (float(a[0, 0]) + 0.25 * who.ear_out), -10.0, -4.0 - 8.0 * max(seen, 0.0)])
        window = canvas.window(root, who.ear_size * 1.5)
        if window is None:
            continue
        cx, cy = float(view[0] @ root), -float(view[1] @ root)
        dx = (canvas.camera_x[window] - cx) * side
        dy = canvas.camera_y[window] - cy
        half = 3.0 + 0.5 * who.ear_out + 15.0 * max(seen, 0.0)
        lean = dx + 0.16 * dy - 0.35 * half * (seen < 0.12)
        r = np.sqrt(
            (lean / half) ** 2 + (dy / who.ear_size) ** 2 + 0.25 * np.square(np.maximum(dy, 0.0) / who.ear_size)
        )
        direction = math.sin(picture.light_azimuth) * side
        value = (0.74 + 0.26 * direction * picture.light_strength) * (
            1.0 - 0.25 * picture.light_strength * (direction < 0)
        )
        ear = tone * planes([1.0, 0.86, 0.84]) * np.float32(value)
        alpha = canvas.edge((1.0 - r) * min(half, 10.0), 1.6)
        canvas.paint(window, ear, alpha)
        bowl = np.exp(-(((lean + 0.15 * half) / (0.5 * half)) ** 2) - ((dy + 2.0) / (0.5 * who.ear_size)) ** 2)
        canvas.darken(window, (0.42, 0.3, 0.28), bowl * alpha * 0.85)
        fold = np.exp(-(((r - 0.74) / 0.13) ** 2)) * alpha
        canvas.darken(window, (0.72, 0.6, 0.57), fold * 0.45)
