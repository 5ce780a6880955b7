"""Where the five landmarks are in a photograph of a public set: from a detector, or from what the set itself tells.

Landmarks are (5, 2) pixels, x then y: left eye, right eye, nose, left and right mouth corner, as seen in the image.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.images.align import ARCFACE_TEMPLATE_112
from marginface.images.detect import Detector, Pixels, Points, choose, in_resized, resized

LFW_LANDMARKS: Points = np.array(
    [[103.72, 112.07], [147.37, 111.89], [125.42, 136.48], [107.80, 156.04], [144.73, 155.78]]
)
"""Where they lie on average in a 250 x 250 LFW photograph, which has its face in the middle by construction.

The mean of what YuNet 2023mar finds in 199 photographs of 40 people (not funneled), standard deviation 3 to 7 pixels.
With one crop for all, a landmark lies 4.8 of 112 pixels from the template on average; with a detector, 2.8."""

HAND_PLACED_EYES_112: Points = np.array([[37.76, 52.34], [74.33, 52.38]])
"""Where the eye centres that people placed lie in a 112-pixel crop which was aligned by a detector's five landmarks.

The mean over the 102 neutral photographs of the London Set. Putting the eyes here leaves the five landmarks 2.0 pixels
on average from where the detector's own crop has them; putting them at the template's eyes, 2.4."""

_EYE_PIXELS = 40.0
"""Distance of the eyes at which two photographs are compared in `find_same_eyes`."""
_SCALES = np.linspace(0.90, 1.12, 12)
_ANGLES_DEGREES = np.arange(-6.0, 6.1, 2.0)


def central_landmarks(detector: Detector, image: Pixels) -> Points | None:
    """Return the landmarks of the central face of an (H, W, 3) RGB image, None where no face is found."""
    height, width = image.shape[:2]
    faces = choose(detector.detect(image), "central", width=width, height=height)
    return faces[0].landmarks if faces else None


def landmarks_from_eyes(eyes: npt.ArrayLike) -> Points:
    """Return the landmarks which, once aligned, put two hand-placed eye centres at `HAND_PLACED_EYES_112`.

    Only the eyes are known, so nose and mouth are where the template has them: two points fix a similarity exactly.

    Args:
        eyes: (2, 2) pixels, the left one as seen in the image first.
    """
    left, right = np.asarray(eyes, dtype=np.float64) @ np.array([1, 1j])
    left_112, right_112 = HAND_PLACED_EYES_112 @ np.array([1, 1j])
    factor = (right - left) / (right_112 - left_112)
    points = left + factor * (ARCFACE_TEMPLATE_112.astype(np.float64) @ np.array([1, 1j]) - left_112)
    return np.stack([points.real, points.imag], axis=1)


def read_tem(content: bytes, *, name: str) -> Points:
    """Return the (N, 2) points of a WebMorph/Psychomorph template: a line with N, then N lines of x and y.

    Lines after those (which points are joined) are not needed here.

    Raises:
        InputError: the file is not of that form.
    """
    try:
        lines = content.decode("utf-8").split("\n")
        count = int(lines[0])
        points = np.array([[float(word) for word in line.split()] for line in lines[1 : count + 1]])
    except (UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{name}: this is not a landmark template (.tem): {error}.") from error
    if count < 2 or points.shape != (count, 2) or not np.isfinite(points).all():
        raise InputError(f"{name}: this landmark template promises {count} points and does not hold them.")
    return points


def find_same_eyes(known: Pixels, eyes: npt.ArrayLike, other: Pixels) -> tuple[Points, float]:
    """Return where the eyes are in another photograph of one person in one studio, and how alike the two places look.

    The band around the eyes is cut from the known photograph, turned by up to 6 degrees and scaled by 0.90 to 1.12, and
    searched for in the other one by normalised cross-correlation. The London Set has hand-placed points for neutral
    faces only. On its 102 smiling photographs the landmarks then lie 2.4 pixels on average (95 of 100: below 4.4) from
    a detector's crop at 112 pixels; with the neutral eyes unmoved it would be 10, with one crop for all 5.

    Args:
        known: (H, W, 3) photograph in which the eyes are known.
        eyes: (2, 2) pixels.
        other: (H, W, 3) photograph taken with the same camera at about the same distance.

    Returns:
        (2, 2) pixels in `other`, and the correlation in [-1, 1]; below 0.8 the place is not to be trusted.
    """
    distance = float(np.linalg.norm(np.subtract(*np.asarray(eyes, dtype=np.float64))))
    small = _prepared(known, _EYE_PIXELS / distance)
    small_other = _prepared(other, _EYE_PIXELS / distance)
    small_eyes = in_resized(eyes, known, small)
    width, height = round(_EYE_PIXELS * 2.24), round(_EYE_PIXELS * 1.05)
    band_middle = np.array([width / 2, _EYE_PIXELS * 0.5])  # half an eye distance above the eyes, to the brows and more
    best, found = -2.0, small_eyes
    for scale in _SCALES:
        for angle in np.radians(_ANGLES_DEGREES):
            turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            shift = band_middle - turn @ small_eyes.mean(axis=0)
            band = cv2.warpAffine(small, np.column_stack([turn, shift]), (width, height))
            alike = cv2.matchTemplate(small_other, band, cv2.TM_CCOEFF_NORMED)
            _, highest, _, place = cv2.minMaxLoc(alike)
            if highest > best:
                best, found = float(highest), small_eyes @ turn.T + shift + np.array(place)
    return in_resized(found, small_other, other), best


def _prepared(image: Pixels, factor: float) -> Pixels:
    grey = cv2.cvtColor(resized(image, factor), cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.GaussianBlur(grey, (3, 3), 0), dtype=np.uint8)
