"""Detectors that find what they are told, for tests that are not about detecting."""

from __future__ import annotations

import numpy as np

from marginface.images.detect import DetectedFace, largest_first


class OneFace:
    """Stands in for a detector: the same faces everywhere, or none."""

    def __init__(self, *faces: DetectedFace) -> None:
        self.faces = largest_first(faces)

    def detect(self, image: np.ndarray) -> list[DetectedFace]:
        assert image.dtype == np.uint8
        return self.faces


def face_at(landmarks: np.ndarray, *, confidence: float = 0.9) -> DetectedFace:
    """Return the face whose five landmarks these are, its box 2.2 times as wide as its landmarks."""
    points = np.asarray(landmarks, dtype=np.float64)
    side = 2.2 * np.ptp(points, axis=0).max()
    return DetectedFace(
        box=np.array([*(points.mean(axis=0) - side / 2), side, side]), landmarks=points, confidence=confidence
    )


def one_face(landmarks: np.ndarray) -> OneFace:
    """Return a detector that finds this face everywhere."""
    return OneFace(face_at(landmarks))
