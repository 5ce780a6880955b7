"""How the camera sees the head: pose, landmarks, and the visible surface in each pixel.

The camera looks along -z with weak perspective (orthographic; the scale is in the view's transform), and camera
coordinates have y down, as images do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marginface.drawn.canvas import unit
from marginface.drawn.head import Array, Head, mouth_corner
from marginface.drawn.identity import Identity
from marginface.drawn.nuisance import Nuisance


def rotation(nuisance: Nuisance) -> npt.NDArray[np.float64]:
    """Return (3, 3) head to camera axes (y still up), without roll."""
    cy, sy = math.cos(nuisance.yaw), math.sin(nuisance.yaw)
    cp, sp = math.cos(nuisance.pitch), math.sin(nuisance.pitch)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    view: npt.NDArray[np.float64] = about_x @ about_y
    return view


def camera_from_head(nuisance: Nuisance) -> npt.NDArray[np.float64]:
    """Return (2, 3): head coordinates to camera coordinates (x right, y down, millimetres), roll included."""
    c, s = math.cos(nuisance.roll), math.sin(nuisance.roll)
    right, up, _ = rotation(nuisance)
    seen: npt.NDArray[np.float64] = np.array([[c, -s], [s, c]]) @ np.stack([right, -up])
    return seen


def landmarks_on_head(identity: Identity, nuisance: Nuisance, head: Head) -> npt.NDArray[np.float64]:
    """Return (5, 3) head coordinates: pupils, tip of the nose and corners of the mouth, left of the image first."""
    corner_x, corner_y = mouth_corner(identity, nuisance)
    eye = identity.eye_distance
    spots = [
        (-eye, 0.0),
        (eye, 0.0),
        (identity.nose_bend, identity.nose_tip_height),
        (-corner_x, corner_y),
        (corner_x, corner_y),
    ]
    return np.array([head.front(x, y) for x, y in spots])


@dataclass(frozen=True)
class Surface:
    """What the camera sees of the head in each pixel of a small grid; pixels beside the head hold the nearest rim."""

    points: Array
    """(3, h, w) head coordinates."""
    normals: Array
    """(3, h, w) unit normals of the slices, without the relief, head axes."""
    rim: Array
    """(h, w) millimetres inside (above 0) or outside (below 0) the outline."""


def look_at_head(head: Head, view: npt.NDArray[np.float64], camera: Array) -> Surface:
    """Return the visible surface for camera positions, y down and roll undone.

    Args:
        head: The surface.
        view: (3, 3) head to camera axes.
        camera: (2, h, w) millimetres.
    """
    right, up, ahead = view.astype(np.float32)
    cx, cy = camera[0], -camera[1]
    start = [cx * right[k] + cy * up[k] for k in range(3)]  # points of the rays in the plane of the head's middle
    x, y, z = start
    # where the ray comes nearest to the axis: closed form in one slice, repeated because pitch changes the slice
    depth = np.zeros_like(x)
    for _ in range(3):
        a, b, z0 = head.slice_at(y)
        inv_a, inv_b = 1.0 / (a * a), 1.0 / (b * b)
        steep = ahead[0] * ahead[0] * inv_a + ahead[2] * ahead[2] * inv_b
        depth = -(start[0] * ahead[0] * inv_a + (start[2] - z0) * ahead[2] * inv_b) / steep
        x, y, z = (start[k] + depth * ahead[k] for k in range(3))
    inside = 1.0 - (x * x * inv_a + (z - z0) ** 2 * inv_b)
    rim = (1.0 - np.sqrt(np.maximum(1.0 - inside, 1e-6))) * np.minimum(a, b)
    nearest = depth
    depth = nearest + np.sqrt(np.maximum(inside, 0.0) / steep) + np.float32(14.0)
    # march inwards; the step is short because the nose is steep
    for _ in range(7):
        x, y, z = (start[k] + depth * ahead[k] for k in range(3))
        a, b, z0 = head.slice_at(y)
        dz = z - z0
        outside = np.square(x / a)
        outside += np.square(dz / b)
        np.sqrt(outside, out=outside)
        outside -= np.float32(1.0)
        outside *= np.minimum(a, b)
        outside -= head.relief_at(x, y) * unit(dz * np.float32(0.05))
        outside *= np.float32(0.78)
        np.subtract(depth, outside, out=depth)
        np.maximum(depth, nearest, out=depth)
    x, y, z = (start[k] + depth * ahead[k] for k in range(3))
    a, b, z0 = head.slice_at(y)
    above_a, above_b, above_z0 = head.slice_at(y + np.float32(2.0))
    dz = z - z0
    nx, nz = x / (a * a), dz / (b * b)
    ny = 0.5 * (((x / a) ** 2 + (dz / b) ** 2) - ((x / above_a) ** 2 + ((z - above_z0) / above_b) ** 2))
    ny = np.clip(-0.5 * ny, -0.06, 0.06)
    normals = np.stack([nx, ny, nz]) / (np.sqrt(nx * nx + ny * ny + nz * nz) + np.float32(1e-9))
    return Surface(points=np.stack([x, y, z]), normals=normals, rim=rim)
