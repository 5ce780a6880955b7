"""Skin: its tone and texture, the beard on it, and how light falls on it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from marginface.drawn.canvas import Array, Canvas, linear, mix, noise, planes, unit
from marginface.drawn.head import Head, mouth_corner
from marginface.drawn.identity import Identity
from marginface.drawn.nuisance import Nuisance

_MELANIN = (0.0, 0.25, 0.45, 0.65, 0.82, 1.0)
_TONES = ((244, 208, 190), (232, 184, 156), (210, 156, 122), (168, 116, 84), (122, 80, 57), (80, 52, 40))


def tone(who: Identity) -> Array:
    """Return the skin's colour (3,) in linear light."""
    srgb = [np.interp(who.melanin, _MELANIN, [level[k] for level in _TONES]) for k in range(3)]
    yellow = who.undertone
    return linear(srgb[0] * (1 - 0.008 * yellow), srgb[1] * (1 + 0.018 * yellow), srgb[2] * (1 - 0.05 * yellow))


def paint_skin(canvas: Canvas, who: Identity, head: Head, base: Array) -> None:
    """Cover the head and its surroundings with the person's skin; the outline is cut later."""
    x, y = canvas.x[canvas.face], canvas.y[canvas.face]
    mottle = noise("coarse", x, y, pattern=who.pattern, scale=0.6)
    fine = noise("fine", x, y, pattern=who.pattern + 7, scale=1.1)
    value = 1.0 + (0.045 * who.skin_mottle) * mottle + (0.018 + 0.02 * who.skin_mottle) * fine
    side = np.abs(x)
    red = np.exp(-(((side - 42) / 17) ** 2) - ((y + 36) / 17) ** 2) * 1.0
    red += np.exp(-((x / 13) ** 2) - ((y - who.nose_tip_height - 2) / 12) ** 2) * 0.8
    red *= np.float32(who.ruddiness * (1.0 - 0.55 * who.melanin)) * (1.0 + 0.2 * mottle)
    for part, colour, loss in zip(canvas.colour[:, *canvas.face], base.flat, (0.02, 0.3, 0.27), strict=True):
        np.multiply(value, colour * (1.0 - np.float32(loss) * red), out=part)
    if who.freckles > 0.03:
        spots = noise("mid", x, y, pattern=who.pattern + 99, scale=2.1)
        where = np.exp(-np.square(np.square(side / 48)) - ((y + 24) / 30) ** 2)
        canvas.darken(
            canvas.face, (0.68, 0.52, 0.42), np.clip((spots - 2.0 + 1.6 * who.freckles) * 0.8, 0, 0.8) * where * 0.75
        )
    if who.wrinkles > 0.05:
        forehead = canvas.band(12.0, 72.0)  # 30 mm from the middle the lines fade below what float32 takes from 1
        x, y = canvas.x[forehead], canvas.y[forehead]
        lines = np.exp(-(((np.sin((y - 0.004 * x * x) * 0.36 + who.pattern % 6) - 1) / 0.13) ** 2))
        brow = np.exp(-np.square(np.square(x / 42)) - np.square(np.square((y - 42) / 14)))
        canvas.darken(forehead, (0.66, 0.57, 0.54), lines * brow * (0.6 * who.wrinkles))
    for mole_x, mole_y, radius, darkness in who.moles:
        window = canvas.window(head.front(mole_x, mole_y), radius + 3.0)
        if window is None:
            continue
        spot = radius - np.sqrt(np.square(canvas.x[window] - mole_x) + np.square(canvas.y[window] - mole_y))
        canvas.darken(window, (0.32, 0.2, 0.16), canvas.edge(spot, 1.2) * np.float32(darkness))


def paint_beard(canvas: Canvas, who: Identity, picture: Nuisance, colour: Array) -> None:
    """Paint beard and moustache, from stubble to full."""
    if who.beard < 0.03 and who.moustache < 0.03:
        return
    lower_face = canvas.band(-np.inf, 25.0)  # the beard's line ends 5 mm above the pupils, its hairs 13 mm above that
    x, y, z = canvas.x[lower_face], canvas.y[lower_face], canvas.z[lower_face]
    side = np.abs(x)
    corner_x, _ = mouth_corner(who, picture)
    hairs = noise("curls", 2.0 * x + 0.5 * z, y, pattern=who.pattern + 31, scale=2.2)
    hairs = 0.75 * hairs + 0.35 * noise("coarse", x, y, pattern=who.pattern + 37, scale=0.7)
    base, mouth = who.nose_tip_height - 11.0, who.mouth_height
    drop = 11.0 * picture.mouth_open
    # lower face: below a line from the ear past the corner of the mouth, around the lips
    cheek_line = np.interp(
        side, [0, corner_x, corner_x + 8, 60, 75], [mouth - who.lower_lip - 7 - drop, mouth - 9, mouth + 8, -28, 5]
    )
    lower = cheek_line.astype(np.float32) - y
    lip_room = np.sqrt((x / (corner_x + 5)) ** 2 + ((y - mouth + 0.5 * drop) / (11 + 0.6 * drop)) ** 2)
    lower = np.minimum(lower, (lip_room - 1.0) * 11)
    lip = mouth + who.upper_lip
    taper = np.maximum(1.0 - np.square(x / (corner_x + 6)), -1.0)
    band = (0.5 * (base - lip) + 1.5) * taper - np.abs(y - 0.5 * (base + lip) + 0.006 * x * x)
    for inside, weight, soft in ((lower, who.beard, 15.0), (band, who.moustache, 5.0)):
        if weight < 0.03:
            continue
        alpha = canvas.edge(inside + hairs, soft) * (0.3 + 0.7 * weight) * min(1.0, 3.5 * weight)
        alpha *= np.clip(0.88 + (0.24 - 0.16 * weight) * hairs, 0.2, 1.0)
        canvas.paint(lower_face, colour * (0.9 + 0.16 * hairs), np.clip(alpha, 0.0, 0.95))


def bend(normals: Array, gx: Array, gy: Array) -> Array:
    """Return (3, h, w) unit normals of the surface with its relief, from the slices' normals and the slopes."""
    front = unit(normals[2])
    bent = np.stack([normals[0] - gx * front, normals[1] - gy * front, normals[2]])
    bent *= 1.0 / np.sqrt(along(bent, bent) + np.float32(1e-6))
    return bent


def along(vectors: Array, other: Array) -> Array:
    """Return (h, w) dot products of (3, h, w) with (3,) or (3, h, w)."""
    product: Array = vectors[0] * other[0]
    product += vectors[1] * other[1]
    product += vectors[2] * other[2]
    return product


def light_direction(picture: Nuisance) -> npt.NDArray[np.float64]:
    """Return the unit vector towards the light, camera axes with y up."""
    az, el = picture.light_azimuth, picture.light_elevation
    return np.array([math.sin(az) * math.cos(el), math.sin(el), math.cos(az) * math.cos(el)])


def light(picture: Nuisance, view: npt.NDArray[np.float64], normals: Array, hollow: Array) -> Array:
    """Return (3, h, w) light on the surface: a wrapped Lambert term, light from above, and less of it in hollows.

    Red wraps further around the terminator than blue, which is what scattering under the skin does.
    """
    towards = (view.T @ light_direction(picture)).astype(np.float32)
    above = view[1].astype(np.float32)  # camera's up in head axes
    facing = along(normals, towards)
    sky = 0.86 + 0.14 * along(normals, above)
    depth = view[2].astype(np.float32)
    sky *= 0.72 + 0.28 * unit(along(normals, depth))
    open_sky = 1.0 - (hollow * np.float32(0.05)).clip(np.float32(0.0), np.float32(0.36))
    ambient = sky * open_sky * np.float32(1.04 * (1.0 - 0.72 * picture.light_strength))
    strength = np.float32(1.32 * picture.light_strength) * (0.45 + 0.55 * open_sky)
    out = np.empty((3, *facing.shape), np.float32)
    for channel, wrap in enumerate((0.36, 0.24, 0.2)):
        lit = unit((facing + np.float32(wrap)) * np.float32(1.0 / (1.0 + wrap)))
        root = np.sqrt(lit)
        lit *= strength
        lit *= root
        np.add(ambient, lit, out=out[channel])
    return out


def shine(who: Identity, picture: Nuisance, view: npt.NDArray[np.float64], normals: Array) -> Array:
    """Return (h, w) the skin's gloss: a Blinn highlight of medium width."""
    half = light_direction(picture) + np.array([0.0, 0.0, 1.0])
    half = (view.T @ (half / (np.linalg.norm(half) + 1e-9))).astype(np.float32)
    peak = unit(along(normals, half))
    for _ in range(4):
        peak *= peak
    return peak * np.float32(0.30 * who.gloss * (0.25 + picture.light_strength))


def shade_like(base: Array, share: float) -> Array:
    """Return a darker, redder version of a skin colour, for places that see little light."""
    return mix(base, base * planes([0.42, 0.3, 0.27]), share)
