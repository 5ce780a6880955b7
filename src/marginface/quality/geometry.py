"""Measures of where the face is: pose and size from five landmarks, and the detector's own confidence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from marginface.images.align import ARCFACE_TEMPLATE_112
from marginface.quality.method import QualityBatch, Scores

Points = npt.NDArray[np.float64]


def pose(batch: QualityBatch) -> Scores:
    """Return minus the distance of the nose from where a frontal face has it: 0 is frontal, a profile about -0.5.

    With the middle m of the eyes, the middle n of the mouth's corners, the eyes' unit direction e and distance d:

        across = (nose - m) . e / d                   grows with the sine of the yaw
        down = (nose - m) . e' / ((n - m) . e')       e' at right angles to e; falls and rises with the pitch

    less the two values of the ArcFace template (0.003 and 0.495); the measure is -sqrt(across^2 + down^2). Roll turns
    all points alike and leaves both as they are: alignment takes it out anyway. Stands for the yaw and pitch components
    of ISO/IEC 29794-5 in one number; they take a three-dimensional fit.
    """
    return _each(batch.landmarks, lambda points: -float(np.hypot(*(_nose(points) - _nose(ARCFACE_TEMPLATE_112)))))


def inter_eye_distance(batch: QualityBatch) -> Scores:
    """Return the pixels between the eyes in the photograph: how much of a face there was before it was cut and scaled.

    ISO/IEC 29794-5 divides by the cosine of the yaw; this does not.
    """
    return _each(batch.photograph_landmarks, lambda points: float(np.linalg.norm(points[1] - points[0])))


def detector_confidence(batch: QualityBatch) -> Scores:
    """Return the confidence of whatever detector found the face, 0 to 1; values of two detectors cannot be compared."""
    return np.array([np.nan if score is None else score for score in batch.detector_scores], np.float64)


def _nose(points: npt.ArrayLike) -> Points:
    """Return the place of the nose across and down the face, in units of the face itself."""
    left_eye, right_eye, nose, left_mouth, right_mouth = np.asarray(points, np.float64)
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    distance = np.linalg.norm(right_eye - left_eye)
    along = (right_eye - left_eye) / distance
    down = np.array([-along[1], along[0]])
    return np.array([(nose - eyes) @ along / distance, (nose - eyes) @ down / ((mouth - eyes) @ down)])


def _each(points: list[Points | None], measure: Callable[[Points], float]) -> Scores:
    return np.array([np.nan if one is None else measure(one) for one in points], np.float64)
