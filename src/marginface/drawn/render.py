"""The picture in linear light: background, hair behind, neck, ears, head, hair before, and what covers the face.

Works like a fragment shader in numpy: a coarse grid of rays finds the surface, everything else is a function of the
head coordinates of each pixel.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from marginface.drawn import covering, features, hair, skin
from marginface.drawn.canvas import Array, Canvas, extent
from marginface.drawn.geometry import camera_from_head, look_at_head, rotation
from marginface.drawn.head import Head, sample
from marginface.drawn.identity import Identity
from marginface.drawn.nuisance import Nuisance

_RAY_SPACING = 2.4
"""Pixels of the picture between two rays; the surface between them is interpolated."""


def draw_head(
    who: Identity,
    picture: Nuisance,
    head: Head,
    *,
    pixel_from_camera: npt.NDArray[np.float64],
    size: int,
) -> Array:
    """Return (3, size, size) linear light.

    Args:
        who: The person.
        picture: The circumstances.
        head: The person's surface with this picture's expression.
        pixel_from_camera: (2, 3) camera millimetres to pixels of a `size` x `size` picture.
        size: Side of the picture; edges are smooth because distances are, not by supersampling.
    """
    view = rotation(picture)
    rays = round(size / _RAY_SPACING)
    camera = _camera_positions(pixel_from_camera, picture.roll, size, rays)
    surface = look_at_head(head, view, camera)
    x, y, z, nx, ny, nz, rim, camera_x, camera_y = (
        cv2.resize(plane, (size, size), interpolation=cv2.INTER_LINEAR)
        for plane in (*surface.points, *surface.normals, surface.rim, *camera)
    )
    linear_part = pixel_from_camera[:, :2] @ camera_from_head(picture)
    pixel_mm = 1.0 / math.sqrt(abs(np.linalg.det(pixel_from_camera[:, :2])))
    covered = rim > -pixel_mm  # a little more than `canvas.edge(rim)` paints
    canvas = Canvas(
        x=x,
        y=y,
        z=z,
        camera_x=camera_x,
        camera_y=camera_y,
        colour=np.zeros((3, size, size), np.float32),
        face=(extent(covered, across=1), extent(covered, across=0)),
        pixel_from_head=np.column_stack([linear_part, pixel_from_camera[:, 2]]),
        pixel_mm=pixel_mm,
    )
    details = _relief_details(head)
    gx, gy, hollow = (sample(details[k], x, y) for k in range(3))
    normals = skin.bend(np.stack([nx, ny, nz]), gx, gy)

    tone = skin.tone(who)
    hair_colour = hair.colour(who)
    skin.paint_skin(canvas, who, head, tone)
    features.paint_nostrils(canvas, who, head)
    features.paint_mouth(canvas, who, picture, head, tone)
    skin.paint_beard(canvas, who, picture, hair_colour)
    for eye in (-1, 1):
        features.paint_eye(canvas, who, picture, head, eye, tone)
        features.paint_brow(canvas, who, picture, head, eye, hair.brow_colour(who, hair_colour))
    light = skin.light(picture, view, normals, hollow)
    face = canvas.colour[:, *canvas.face] * light[:, *canvas.face]
    face += skin.shine(who, picture, view, normals[:, *canvas.face])

    canvas.colour[...] = covering.background(picture, size)
    coat = hair.comb(canvas, who, picture, hair_colour, light)
    hair.paint_behind(canvas, who, picture, coat, rim)
    covering.paint_neck(canvas, who, picture, tone)
    hair.paint_ears(canvas, who, picture, head, view, tone, behind=True)
    canvas.paint(canvas.face, face, canvas.edge(rim[canvas.face]))
    hair.paint_ears(canvas, who, picture, head, view, tone, behind=False)
    hair.paint_before(canvas, who, picture, coat, rim)
    covering.paint_hat(canvas, picture, rim, light)
    covering.paint_glasses(canvas, who, picture, head, view)
    covering.paint_occluder(canvas, who, picture, rim, light)
    return canvas.colour


def _camera_positions(pixel_from_camera: npt.NDArray[np.float64], roll: float, size: int, rays: int) -> Array:
    """Return (2, rays, rays) camera millimetres, roll undone, of a coarse grid over the picture."""
    inverse = np.linalg.inv(pixel_from_camera[:, :2])
    c, s = math.cos(roll), math.sin(roll)
    unroll = np.array([[c, s], [-s, c]]) @ inverse
    centres = (np.arange(rays) + 0.5) * (size / rays) - 0.5
    px, py = centres[None, :] - pixel_from_camera[0, 2], centres[:, None] - pixel_from_camera[1, 2]
    return np.stack([unroll[k, 0] * px + unroll[k, 1] * py for k in range(2)]).astype(np.float32)


def _relief_details(head: Head) -> tuple[Array, Array, Array]:
    """Return the relief's slope in x and in y, and how far each place lies below its surroundings (millimetres)."""
    relief = head.relief
    gx = cv2.Sobel(relief, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    gy = cv2.Sobel(relief, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
    half = cv2.resize(relief, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    around = cv2.resize(cv2.GaussianBlur(half, (0, 0), 2.0), relief.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return gx, gy, around - relief
