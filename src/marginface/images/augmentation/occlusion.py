"""Operations that put something before the face, where the alignment template has its landmarks: masks, sunglasses.

An aligned crop has its eyes, nose and mouth within a few pixels of the template, so no detector is asked. Every piece
is drawn a little differently each time: place, size, colour, and how it sits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.images.align import ARCFACE_TEMPLATE_112
from marginface.images.augmentation.draws import Draws
from marginface.images.augmentation.operation import TEMPLATE_SIDE, OperationConfig, Pixels

_LEFT_EYE, _RIGHT_EYE, _NOSE, _LEFT_MOUTH, _RIGHT_MOUTH = ARCFACE_TEMPLATE_112.astype(np.float64)
_EYES = (_LEFT_EYE + _RIGHT_EYE) / 2
_MOUTH = (_LEFT_MOUTH + _RIGHT_MOUTH) / 2
_EYE_DISTANCE = float(_RIGHT_EYE[0] - _LEFT_EYE[0])  # the unit of everything drawn here

_CLOTH = ((166, 200, 220), (226, 230, 232), (34, 36, 40), (120, 150, 190), (214, 168, 172), (96, 110, 92))
"""RGB of masks: surgical blue, white, black, jeans, pink, olive."""
_GLASS = ((18, 18, 20), (48, 34, 24), (24, 34, 44))
"""RGB of tinted glass: black, brown, blue."""

_SHIFT = 4
"""OpenCV draws at sixteenths of a pixel."""


@dataclass(frozen=True, kw_only=True)
class MedicalMaskConfig(OperationConfig):
    """A mask over nose, mouth and chin. Strength: share of the image that is covered."""

    kind: Literal["medical_mask"] = "medical_mask"
    jitter: float = 3.0
    """Largest shift of each of its corners, pixels of a 112-pixel crop."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_jitter(self.kind, self.jitter)

    def apply(self, image: Pixels, draws: Draws) -> tuple[Pixels, float]:
        """Return the face behind a mask, and the share of the image that is covered."""
        size = image.shape[0]
        outline = _jittered(_mask_outline(draws), self.jitter, draws)
        cover = _filled(outline, size)
        straps = np.zeros((size, size), np.uint8)
        for corner, side in ((outline[0], 0.0), (outline[2], float(TEMPLATE_SIDE))):
            ear = np.array([side, _LEFT_EYE[1] + draws.uniform(0, 12)])
            _line(straps, corner, ear, width=1.6)
        cloth = np.array(draws.one_of(_CLOTH)) + draws.uniform(-20, 20)
        covered = _painted(image, np.maximum(cover, straps), cloth, shade=_folds(size, draws))
        return covered, float(cover.mean() / 255)


@dataclass(frozen=True, kw_only=True)
class SunglassesConfig(OperationConfig):
    """Tinted glasses over the eyes. Strength: share of the image that is covered, times how dark the glass is."""

    kind: Literal["sunglasses"] = "sunglasses"
    jitter: float = 1.5
    """Largest shift of the glasses, pixels of a 112-pixel crop."""
    opacity: tuple[float, float] = (0.8, 1.0)
    """Of the glass, least and most; the frame is always opaque."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_jitter(self.kind, self.jitter)
        self.check_range("opacity", 0.0, 1.0)

    def apply(self, image: Pixels, draws: Draws) -> tuple[Pixels, float]:
        """Return the face behind glasses, and the share that is covered times how dark the glass is."""
        size = image.shape[0]
        shift = np.array([draws.uniform(-self.jitter, self.jitter), draws.uniform(-self.jitter, self.jitter)])
        half_width = draws.uniform(0.38, 0.47) * _EYE_DISTANCE
        half_height = draws.uniform(0.27, 0.38) * _EYE_DISTANCE
        roundness = draws.uniform(2.0, 4.0)  # exponent of the outline: an ellipse to almost a rectangle
        eyes = [eye + shift + (0, 0.04 * _EYE_DISTANCE) for eye in (_LEFT_EYE, _RIGHT_EYE)]
        lenses = np.zeros((size, size), np.uint8)
        frame = np.zeros((size, size), np.uint8)
        for eye in eyes:
            outline = _super_ellipse(eye, half_width, half_height, roundness)
            lenses = np.maximum(lenses, _filled(outline, size))
            _line(frame, *outline, outline[0], width=2.0)
        _line(frame, eyes[0] + (half_width, -2), eyes[1] + (-half_width, -2), width=2.2)
        for eye, side in ((eyes[0] - (half_width, 2), 0.0), (eyes[1] + (half_width, -2), float(TEMPLATE_SIDE))):
            _line(frame, eye, np.array([side, eye[1] - 2]), width=2.2)
        opacity = draws.uniform(*self.opacity)
        glass = np.array(draws.one_of(_GLASS), dtype=np.float64)
        sheen = np.linspace(1 + draws.uniform(0, 1.5), 1, size, dtype=np.float32)  # light from above on the upper rim
        shade = np.ascontiguousarray(np.broadcast_to(sheen[:, None], (size, size)))
        tint = cv2.convertScaleAbs(lenses, alpha=opacity)
        covered = _painted(image, np.asarray(tint, np.uint8), glass, shade=shade)
        covered = _painted(covered, frame, np.array(draws.one_of(_GLASS)) * draws.uniform(0.3, 2.0))
        return covered, float(np.maximum(tint, frame).mean() / 255)


def _check_jitter(kind: str, jitter: float) -> None:
    if not 0 <= jitter <= 20:
        raise InputError(f"{kind}: jitter {jitter:g} is outside 0 to 20 pixels.")


def _mask_outline(draws: Draws) -> npt.NDArray[np.float64]:
    """Return (9, 2) corners in the 112-pixel template: cheek, bridge of the nose, cheek, and down around the chin.

    How far it is pulled up decides between the lower lid and the tip of the nose.
    """
    top = _EYES[1] + draws.uniform(0.28, 0.60) * (_NOSE[1] - _EYES[1])
    cheek = _NOSE[1] - draws.uniform(0.0, 0.15) * _EYE_DISTANCE
    chin = _MOUTH[1] + draws.uniform(0.55, 0.70) * _EYE_DISTANCE
    reach, x = draws.uniform(0.92, 1.08) * _EYE_DISTANCE, float(_EYES[0])
    right = [
        (x + 0.95 * reach, cheek),
        (x + 0.90 * reach, _MOUTH[1] - 0.1 * _EYE_DISTANCE),
        (x + 0.62 * reach, chin - 0.25 * _EYE_DISTANCE),
        (x + 0.25 * reach, chin),
    ]
    left = [(2 * x - right_x, y) for right_x, y in right]
    return np.array([left[0], (x, top), *right, *left[:0:-1]], dtype=np.float64)


def _jittered(outline: npt.NDArray[np.float64], jitter: float, draws: Draws) -> npt.NDArray[np.float64]:
    moves = [draws.uniform(-jitter, jitter) for _ in range(outline.size)]
    return _rounded(outline + np.reshape(moves, outline.shape))


def _rounded(corners: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the outline with its corners cut twice, which rounds them (Chaikin); the first three stay sharp."""
    head, tail = corners[:3], np.vstack([corners[2:], corners[:1]])
    for _ in range(2):
        cuts = np.stack([0.75 * tail[:-1] + 0.25 * tail[1:], 0.25 * tail[:-1] + 0.75 * tail[1:]], axis=1)
        tail = np.vstack([tail[:1], cuts.reshape(-1, 2), tail[-1:]])
    return np.vstack([head, tail[1:-1]])


def _super_ellipse(
    centre: npt.NDArray[np.float64], half_width: float, half_height: float, exponent: float
) -> npt.NDArray[np.float64]:
    """Return (32, 2) points of |x / w|^e + |y / h|^e = 1 around the centre."""
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    cos, sin = np.cos(angle), np.sin(angle)
    x = half_width * np.sign(cos) * np.abs(cos) ** (2 / exponent)
    y = half_height * np.sign(sin) * np.abs(sin) ** (2 / exponent)
    return np.column_stack([centre[0] + x, centre[1] + y])


def _filled(outline: npt.NDArray[np.float64], size: int) -> Pixels:
    """Return (size, size) cover, 0 to 255, of a polygon in the 112-pixel template."""
    cover = np.zeros((size, size), np.uint8)
    cv2.fillPoly(cover, [_pixels(outline, size)], 255, lineType=cv2.LINE_AA, shift=_SHIFT)
    return cover


def _line(cover: Pixels, *points: npt.NDArray[np.float64], width: float) -> None:
    """Draw a line through points of the template onto a cover."""
    size = cover.shape[0]
    thickness = max(1, round(width * size / TEMPLATE_SIDE))
    where = _pixels(np.array(points), size)
    cv2.polylines(cover, [where], isClosed=False, color=255, thickness=thickness, lineType=cv2.LINE_AA, shift=_SHIFT)


def _pixels(points: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.int32]:
    return np.asarray(np.round(points * (size / TEMPLATE_SIDE) * (1 << _SHIFT)), np.int32)


def _folds(size: int, draws: Draws) -> npt.NDArray[np.float32]:
    """Return (size, size) shade around 1: lighter above than below, with level folds, darker to the sides."""
    rows = np.arange(size) / size
    shade = draws.uniform(1.0, 1.12) - draws.uniform(0.0, 0.25) * rows
    depth, count, start = draws.uniform(0.0, 0.12), draws.uniform(8, 14), draws.uniform(0, 2 * np.pi)
    across = 1.0 - draws.uniform(0.0, 0.25) * np.square(np.linspace(-1, 1, size))
    folded = shade - depth * np.clip(np.sin(2 * np.pi * count * rows + start), 0, None)
    return np.outer(folded, across).astype(np.float32)


def _painted(
    image: Pixels, cover: Pixels, colour: npt.NDArray[np.float64], *, shade: npt.NDArray[np.float32] | None = None
) -> Pixels:
    """Return the image with a colour, (3,), times a shade, (S, S), over it as far as the (S, S) cover hides it."""
    if shade is None:
        paint = np.full_like(image, np.clip(colour, 0, 255).round())
    else:
        paint = cv2.merge([cv2.convertScaleAbs(shade, alpha=float(max(part, 0.0))) for part in colour])
    alpha = cover.astype(np.float32) * np.float32(1 / 255)
    return np.asarray(cv2.blendLinear(image, paint, 1 - alpha, alpha), np.uint8)
