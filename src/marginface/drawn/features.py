"""Eyes, brows, nostrils and mouth, painted on the skin before the light falls on it.

Each is a handful of curves in head coordinates; distance to a curve, softened over a pixel, is the coverage.
"""

from __future__ import annotations

import math

import numpy as np

from marginface.drawn.canvas import Array, Canvas, linear, mix, noise, planes, unit
from marginface.drawn.head import Head, mouth_corner
from marginface.drawn.identity import Identity
from marginface.drawn.nuisance import Nuisance

_BROWN, _HAZEL = linear(62, 38, 24), linear(124, 92, 48)
_GREEN, _BLUE = linear(128, 142, 104), linear(122, 158, 190)
_INK = linear(22, 14, 12)


def paint_eye(canvas: Canvas, who: Identity, picture: Nuisance, head: Head, side: int, skin: Array) -> None:
    """Paint the eye at the left (-1) or right (1) of the image."""
    window = canvas.window(head.front(side * who.eye_distance, 0.0), who.eye_width * 1.45)
    if window is None:
        return
    dx, dy = (canvas.x[window] - side * who.eye_distance) * side, canvas.y[window]
    c, s = math.cos(who.eye_tilt), math.sin(who.eye_tilt)
    u, v = dx * c + dy * s, dy * c - dx * s  # u outwards along the opening, v upwards
    t = u / who.eye_width
    square, reach = t * t, np.abs(t)
    arch = unit(1.0 - np.abs(t - 0.06 * (1 - square)) ** 2.1)
    closed = min(picture.eyes_closed + 0.22 * max(picture.smile, 0.0), 1.0)
    low = -(4.1 - 1.0 * max(picture.smile, 0.0)) * unit(1.0 - square) ** 0.9
    opening = who.eye_opening + 0.9 * max(picture.brow_raise, 0.0)
    high = opening * arch**0.75 * (1.0 - closed) + (low + 0.2) * closed
    below, above = high - v, v - low  # distance to the upper lid and to the lower
    along = unit((1.06 - reach) * 8.0)
    inside = canvas.edge(np.minimum(below, above)) * (reach < 1.0)

    # skin around: socket, fold of the lid, bag
    around = np.exp(-((t / 1.05) ** 2) - ((v - 1.0) / 8.5) ** 2)
    canvas.darken(window, (0.86, 0.78, 0.76), around * 0.6)
    fold_at = v - (high + who.lid_crease * (0.45 + 0.55 * np.sqrt(unit(1.0 - (t * 0.9) ** 2))) * (1 + closed))
    fold = np.exp(-((fold_at / (0.75 + 0.5 * canvas.pixel_mm)) ** 2)) * along
    canvas.darken(window, (0.42, 0.33, 0.31), fold * (0.75 * (1.0 - 0.85 * who.lid_fold)))
    lid = canvas.edge(np.minimum(-fold_at, -below), 1.5) * along
    canvas.darken(window, (1.08, 1.0, 0.98), lid * (1.0 - who.lid_fold))
    bag = np.exp(-(((above + 4.4) / 1.6) ** 2)) * unit(1.1 - square)
    canvas.darken(window, (0.66, 0.56, 0.58), bag * 0.6 * who.eye_bags)

    # ball
    white = linear(220, 210, 203) * (0.62 + 0.38 * unit(below / 4.0) * unit(1.3 - square))
    corner = unit((-t - 0.72) * 5.0)
    canvas.paint(window, white + corner * (linear(208, 150, 140) - white), inside)
    du, dv = u - 3.4 * picture.gaze_x * side, v - 2.2 * picture.gaze_y - 0.25
    r = np.sqrt(du * du + dv * dv)
    iris_colour = _iris_colour(who)
    rays = 1.0 - 0.42 * unit((r / who.iris_radius - 0.62) * 2.6) - 0.1 * dv / who.iris_radius
    shade = rays * (0.55 + 0.45 * unit(below / 3.2))
    canvas.paint(window, iris_colour * shade, inside * canvas.edge(who.iris_radius - r))
    canvas.paint(window, _INK * 0.3, inside * canvas.edge(2.2 - r))
    glint_u = du - side * 2.0 * math.sin(picture.light_azimuth)
    glint = np.exp(-(glint_u**2 + (dv - 2.0) ** 2) / 1.1) * inside * min(0.4 + picture.light_strength, 1.0)
    canvas.paint(window, (1.3, 1.3, 1.3), glint)

    # lashes
    thick = 0.62 + 0.5 * np.clip(t + 0.5, 0.0, 1.2) + 0.35 * canvas.pixel_mm
    canvas.paint(window, _INK, np.exp(-((below / thick) ** 2)) * along * 0.82)
    canvas.paint(window, mix(skin * 0.3, _INK, 0.4), np.exp(-(((above + 0.3) / 0.8) ** 2)) * along * 0.42)


def _iris_colour(who: Identity) -> Array:
    pale = mix(_GREEN, _BLUE, who.eye_hue)
    light = who.eye_lightness
    return mix(_BROWN, _HAZEL, 2 * light) if light < 0.5 else mix(_HAZEL, pale, 2 * light - 1)


def paint_brow(canvas: Canvas, who: Identity, picture: Nuisance, head: Head, side: int, colour: Array) -> None:
    """Paint the brow at the left (-1) or right (1) of the image."""
    middle = side * (who.eye_distance * 0.97 + who.brow_gap)
    height = who.brow_height + 4.0 * picture.brow_raise
    window = canvas.window(head.front(middle, height), who.brow_length * 1.3)
    if window is None:
        return
    dx, dy = (canvas.x[window] - middle) * side, canvas.y[window] - height
    c, s = math.cos(who.brow_tilt), math.sin(who.brow_tilt)
    u, v = dx * c + dy * s, dy * c - dx * s
    t = u / who.brow_length
    rise = who.brow_arch * (0.45 - (t - 0.28) ** 2 * 0.9) + 1.6 * picture.brow_raise * unit(-t)
    half = who.brow_thickness * (1.0 - 0.72 * unit((t + 0.25) / 1.2) ** 1.4)
    hairs = noise("strands", dy + 0.7 * dx, dx, pattern=who.pattern + side, scale=1.4)
    inside = half - np.abs(v - rise) + 0.35 * hairs
    ends = unit((t + 1.03) * 3.2) * unit((1.05 - t) * 3.5)
    alpha = canvas.edge(inside, 2.4) * ends * who.brow_density * (0.86 + 0.1 * hairs)
    canvas.paint(window, colour, np.clip(alpha, 0.0, 0.95))


def paint_nostrils(canvas: Canvas, who: Identity, head: Head) -> None:
    """Paint the two openings and the shadow of the wings' fold."""
    base = who.nose_tip_height - 9.5 + 0.45 * who.nose_upturn
    window = canvas.window(head.front(who.nose_bend, base), who.nose_width * 1.7)
    if window is None:
        return
    x, y = np.abs(canvas.x[window] - 0.8 * who.nose_bend), canvas.y[window]
    hole = 1.0 - np.sqrt(((x - 0.46 * who.nose_width) / (0.25 * who.nose_width)) ** 2 + ((y - base) / 1.9) ** 2)
    canvas.darken(window, (0.16, 0.09, 0.08), canvas.edge(hole * 2.2, 1.6) * 0.85)
    fold = np.exp(-(((x - who.nose_width - 0.4) / 1.2) ** 2) - ((y - base - 3.0) / 5.0) ** 2)
    canvas.darken(window, (0.55, 0.43, 0.4), fold * 0.5)
    under = np.exp(-((x / who.nose_width) ** 4) - ((y - base + 2.2) / 2.0) ** 2)
    canvas.darken(window, (0.6, 0.5, 0.48), under * 0.45)


def paint_mouth(canvas: Canvas, who: Identity, picture: Nuisance, head: Head, skin: Array) -> None:
    """Paint lips, and what an open mouth shows."""
    corner_x, corner_y = mouth_corner(who, picture)
    window = canvas.window(head.front(0.0, who.mouth_height), corner_x * 1.35)
    if window is None:
        return
    x, y = canvas.x[window], canvas.y[window]
    t = x / corner_x
    reach, square = np.abs(t), t * t
    bow = unit(1.0 - square)
    smile, gape = picture.smile, picture.mouth_open
    line = who.mouth_height + (corner_y - who.mouth_height) * t * t - 0.9 * np.exp(-((x / 5.0) ** 2)) * (1 - gape)
    upper_edge = line + 3.0 * gape * bow
    lower_edge = line - 11.0 * gape * bow**0.8
    dip = who.cupid_bow * (np.exp(-((x / 3.2) ** 2)) - 0.5 * np.exp(-(((np.abs(x) - 6.0) / 4.0) ** 2)))
    top = upper_edge + who.upper_lip * (1 - 0.3 * max(smile, 0.0)) * unit(1 - reach**1.6) ** 0.9 - dip * bow
    bottom = lower_edge - who.lower_lip * (1 - 0.22 * max(smile, 0.0)) * bow**0.75

    lip = mix(
        skin * planes([0.82, 0.6, 0.58]),
        linear(178, 62, 70) * (0.35 + 0.9 * skin[0]),
        0.75 * who.lip_redness,
    )
    within = (reach < 1.0).astype(np.float32)
    upper = canvas.edge(np.minimum(top - y, y - upper_edge), 1.5) * within
    lower = canvas.edge(np.minimum(lower_edge - y, y - bottom), 1.8) * within
    canvas.paint(window, lip * 0.78, upper * 0.88)
    lower_shade = 0.92 + 0.22 * np.exp(-(((y - lower_edge + 0.45 * who.lower_lip) / 2.2) ** 2))
    canvas.paint(window, lip * lower_shade, lower * 0.85)
    if gape > 0.02:
        inner = canvas.edge(np.minimum(upper_edge - y, y - lower_edge), 0.8) * within
        depth = unit((upper_edge - y) / 9.0)
        canvas.paint(window, linear(92, 32, 30) * (1.0 - 0.6 * depth), inner)
        teeth = canvas.edge(
            np.minimum(np.minimum(upper_edge - 0.3 - y, y - upper_edge + 7.0), y - lower_edge - 0.8), 0.9
        )
        gaps = 0.93 + 0.07 * np.cos(x * 0.8)
        canvas.paint(window, linear(226, 218, 202) * (gaps * (1.0 - 0.45 * t * t)), teeth * inner * (reach < 0.86))
    crease = np.exp(-(((y - line) / 0.95) ** 2)) * unit((1.08 - reach) * 9) * (1.0 - min(4 * gape, 1.0))
    canvas.paint(window, lip * planes([0.2, 0.13, 0.13]), crease * 0.85)
    corner = np.exp(-(((np.abs(x) - corner_x) / 2.2) ** 2) - ((y - corner_y) / 1.9) ** 2)
    canvas.darken(window, (0.5, 0.38, 0.36), corner * 0.55)
