"""Faces in a photograph: what every detector returns, and which of several faces is meant.

Boxes and landmarks are in pixels of the photograph that was given, x then y, a pixel's centre at whole numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]
Which = Literal["largest", "central", "all"]


@dataclass(frozen=True, eq=False, kw_only=True)
class DetectedFace:
    """One face."""

    box: npt.NDArray[np.float64]
    """(4,) left, top, width, height; it may reach beyond the image."""
    landmarks: Points
    """(5, 2) left eye, right eye, nose, left and right mouth corner, as seen in the image."""
    confidence: float
    """0..1, as this detector counts; values of two detectors cannot be compared."""

    @property
    def area(self) -> float:
        """Of the box, square pixels."""
        return float(self.box[2] * self.box[3])

    @property
    def eye_distance(self) -> float:
        """Between the two eyes, pixels: how much of a face the picture holds."""
        return float(np.linalg.norm(self.landmarks[1] - self.landmarks[0]))


@runtime_checkable
class Detector(Protocol):
    """Finds faces. Implementations may be called from several threads at once."""

    def detect(self, image: Pixels) -> list[DetectedFace]:
        """Return the faces of an (H, W, 3) uint8 RGB image, the largest first; an empty list where there is none."""


def choose(faces: Sequence[DetectedFace], which: Which, *, width: int, height: int) -> list[DetectedFace]:
    """Return the faces that are meant: all of them, the one of largest area, or the central one; [] without any.

    The central face is the largest of those that cover the middle of the image; where none does, the nearest to it.

    Args:
        faces: as a detector returned them.
        which: "all", "largest" or "central".
        width: of the image, pixels.
        height: of the image, pixels.
    """
    ordered = largest_first(faces)
    if which == "all" or not ordered:
        return ordered
    if which == "largest":
        return ordered[:1]
    middle = np.array([width, height]) / 2
    covering = [f for f in ordered if (f.box[:2] <= middle).all() and (middle <= f.box[:2] + f.box[2:]).all()]
    if covering:
        return covering[:1]
    return [min(ordered, key=lambda f: float(np.linalg.norm(f.box[:2] + f.box[2:] / 2 - middle)))]


def largest_first(faces: Iterable[DetectedFace]) -> list[DetectedFace]:
    """Return the faces by area, the largest first; equal ones from left to right."""
    return sorted(faces, key=lambda face: (-face.area, float(face.box[0]), float(face.box[1])))


def look_twice(
    image: Pixels, sides: Sequence[int], detect: Callable[[Pixels], list[DetectedFace]], *, small: float = 40.0
) -> list[DetectedFace]:
    """Return what a detector finds at several sizes of one image, the largest face first.

    Detectors see faces of some 10 to 300 pixels. The first look shrinks the image to `sides[0]` and is trusted with all
    that it finds. Each finer look is only asked for faces that were hard to see before: shorter than `small` pixels in
    the look before it, and not overlapping a face that is already there. What a fine look makes of a large face
    (an eye taken for a head) is thereby never asked for.

    Args:
        image: (H, W, 3) uint8 RGB.
        sides: the longest side of each look, pixels, ascending; an image is never enlarged.
        detect: finds the faces of one image at one size.
        small: height of a face, in pixels of the look before, below which a finer look counts.
    """
    found: list[DetectedFace] = []
    before = 0.0  # the factor of the look before
    longest = max(image.shape[:2])
    for side in sides:
        factor = min(1.0, side / longest)
        if factor <= before:
            break
        seen = resized(image, factor)
        faces = [_in_original(face, seen, image) for face in detect(seen)]
        if before:
            faces = [f for f in faces if f.box[3] * before < small and all(overlap(f, known) < 0.3 for known in found)]
        found += faces
        before = factor
    return largest_first(found)


def overlap(a: DetectedFace, b: DetectedFace) -> float:
    """Return the area that two boxes share over the area that they cover together, 0..1."""
    corner = np.maximum(a.box[:2], b.box[:2])
    sides = np.maximum(np.minimum(a.box[:2] + a.box[2:], b.box[:2] + b.box[2:]) - corner, 0)
    shared = float(sides.prod())
    together = a.area + b.area - shared
    return shared / together if together > 0 else 0.0


def without_overlaps(faces: Iterable[DetectedFace], most: float) -> list[DetectedFace]:
    """Return the faces, most confident first, without those that overlap a more confident one by more than `most`."""
    kept: list[DetectedFace] = []
    for face in sorted(faces, key=lambda f: -f.confidence):
        if all(overlap(face, other) <= most for other in kept):
            kept.append(face)
    return kept


def resized(image: Pixels, factor: float) -> Pixels:
    """Return the image with its sides times `factor`: averaged over areas when shrinking, bilinear when enlarging."""
    if factor == 1.0:
        return image
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    size = tuple(max(1, round(side * factor)) for side in image.shape[1::-1])
    return np.asarray(cv2.resize(image, size, interpolation=method), dtype=np.uint8)


def in_resized(points: npt.ArrayLike, before: Pixels, after: Pixels) -> Points:
    """Return points of one image in the pixels of a resized one; a pixel's centre is at whole numbers."""
    ratio = np.array(after.shape[1::-1]) / np.array(before.shape[1::-1])
    return np.asarray((np.asarray(points, dtype=np.float64) + 0.5) * ratio - 0.5)


def _in_original(face: DetectedFace, seen: Pixels, original: Pixels) -> DetectedFace:
    corners = in_resized([face.box[:2], face.box[:2] + face.box[2:]], seen, original)
    return DetectedFace(
        box=np.concatenate([corners[0], corners[1] - corners[0]]),
        landmarks=in_resized(face.landmarks, seen, original),
        confidence=face.confidence,
    )
