"""YuNet through OpenCV: 230 kB, some 40 ms a photograph on one core, MIT (Wu, Peng, Yu, MIR 2023).

The file is `face_detection_yunet_2023mar.onnx` of the OpenCV Zoo. OpenCV decodes its heads and suppresses overlaps.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from marginface.errors import InputError
from marginface.images.detect import DetectedFace, Pixels, look_twice

SIDES = (640, 1280)
"""Longest sides of the two looks, pixels. Seen at 640, faces from some 15 to 300 pixels are found; the second look
finds those half as large, for three times the time."""


class YuNet:
    """A detector from a YuNet .onnx file; picklable, and safe to call from several threads."""

    def __init__(
        self, path: str | Path, *, min_confidence: float = 0.6, sides: tuple[int, ...] = SIDES, nms_overlap: float = 0.3
    ) -> None:
        """Load the detector.

        Args:
            path: the .onnx file.
            min_confidence: faces below it are not reported, 0..1.
            sides: see `look_twice`.
            nms_overlap: of two boxes that overlap by more than this share, the less confident one is dropped, 0..1.

        Raises:
            InputError: there is no such file, or OpenCV cannot use it as a YuNet.
        """
        self.path, self.min_confidence, self.sides = Path(path), min_confidence, sides
        self.nms_overlap = nms_overlap
        if not self.path.is_file():
            raise InputError(f"{path}: there is no such detector file; give a YuNet .onnx.")
        self._here = threading.local()  # OpenCV's object keeps the size of its input, so each thread has its own
        try:
            self._detector().detect(np.zeros((320, 320, 3), np.uint8))
        except cv2.error as error:
            raise InputError(f"{path}: OpenCV {cv2.__version__} cannot use this file as a YuNet detector.") from error

    def detect(self, image: Pixels) -> list[DetectedFace]:
        """Return the faces of an (H, W, 3) uint8 RGB image, the largest first."""
        return look_twice(image, self.sides, self._look)

    def _look(self, image: Pixels) -> list[DetectedFace]:
        detector = self._detector()
        detector.setInputSize((image.shape[1], image.shape[0]))
        rows = detector.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
        if rows is None:
            return []
        values = np.asarray(rows, dtype=np.float64)
        return [
            DetectedFace(box=row[:4], landmarks=row[4:14].reshape(5, 2), confidence=float(row[14]))
            for row in values[np.isfinite(values).all(axis=1)]
        ]

    def _detector(self) -> Any:
        if not hasattr(self._here, "detector"):
            with _QuietOpenCV():
                self._here.detector = cv2.FaceDetectorYN.create(
                    str(self.path), "", (320, 320), self.min_confidence, self.nms_overlap
                )
        return self._here.detector

    def __reduce__(self) -> tuple[Any, ...]:
        return _load, (self.path, self.min_confidence, self.sides, self.nms_overlap)


def _load(path: Path, min_confidence: float, sides: tuple[int, ...], nms_overlap: float) -> YuNet:
    return YuNet(path, min_confidence=min_confidence, sides=sides, nms_overlap=nms_overlap)


class _QuietOpenCV:
    """OpenCV 5 warns, at each load of a network, that it takes no notice of the target; nobody can act on that.

    Its level is one for the whole process, so threads load their networks one after another. Builds without the switch
    are left as they are.
    """

    _one_at_a_time = threading.Lock()
    _levels: Any = getattr(cv2.utils, "logging", None)

    def __enter__(self) -> None:
        self._one_at_a_time.acquire()
        if self._levels is not None:
            self._before = self._levels.getLogLevel()
            self._levels.setLogLevel(min(self._levels.LOG_LEVEL_ERROR, self._before))

    def __exit__(self, *_: object) -> None:
        if self._levels is not None:
            self._levels.setLogLevel(self._before)
        self._one_at_a_time.release()
