"""SCRFD from an ONNX file, as insightface exports it (Guo et al., ICLR 2022, arXiv:2105.04714).

The file is the user's own: insightface's weights are for non-commercial research. Through onnxruntime (an extra).
Its outputs are, for each stride, scores (n, 1), then distances from the anchor to the box's sides (n, 4), then offsets
of the landmarks (n, 10), both in units of the stride; 6 outputs have no landmarks and cannot be used to align.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.images.detect import DetectedFace, Pixels, look_twice, without_overlaps

_LAYOUTS = {9: ((8, 16, 32), 2), 15: ((8, 16, 32, 64, 128), 1)}
"""{number of outputs: (strides, anchors a cell)} of the exports with landmarks."""


class Scrfd:
    """A detector from an SCRFD .onnx file; picklable, and safe to call from several threads."""

    def __init__(
        self,
        path: str | Path,
        *,
        min_confidence: float = 0.5,
        nms_overlap: float = 0.4,
        sides: tuple[int, ...] = (640, 1280),
    ) -> None:
        """Load the network.

        Args:
            path: the .onnx file.
            min_confidence: faces below it are not reported, 0..1.
            nms_overlap: of two boxes that overlap by more than this share, the less confident one is dropped, 0..1.
            sides: see `look_twice`; rounded up to a multiple of the largest stride. A file of fixed size has one look.

        Raises:
            InputError: no such file, no SCRFD with landmarks, or onnxruntime is not installed.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise InputError("SCRFD runs through onnxruntime: pip install 'marginface[onnx]'.") from error
        self.path, self.min_confidence, self.nms_overlap = Path(path), min_confidence, nms_overlap
        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=onnxruntime.get_available_providers())
        except Exception as error:  # onnxruntime has a dozen exceptions without a common base
            reason = str(error).splitlines()[0]
            raise InputError(f"{path}: onnxruntime cannot load this file ({reason}).") from error
        outputs = self._session.get_outputs()
        if len(outputs) not in _LAYOUTS:
            raise InputError(
                f"{path}: an SCRFD with landmarks has {' or '.join(map(str, _LAYOUTS))} outputs, this file has"
                f" {len(outputs)}."
            )
        self.strides, self.num_anchors = _LAYOUTS[len(outputs)]
        (only_input,) = self._session.get_inputs()
        self._input_name = only_input.name
        height, width = only_input.shape[2:4]
        self._fixed = (width, height) if isinstance(width, int) and isinstance(height, int) else None
        self.sides = sides if self._fixed is None else (min(self._fixed),)

    def detect(self, image: Pixels) -> list[DetectedFace]:
        """Return the faces of an (H, W, 3) uint8 RGB image, the largest first."""
        return look_twice(image, self.sides, self._look)

    def _look(self, image: Pixels) -> list[DetectedFace]:
        height, width = image.shape[:2]
        step = self.strides[-1]
        shape = self._fixed or (-(-width // step) * step, -(-height // step) * step)
        padded = np.zeros((shape[1], shape[0], 3), np.uint8)
        padded[:height, :width] = image
        blob = cv2.dnn.blobFromImage(padded, 1 / 128, shape, (127.5, 127.5, 127.5))  # RGB in, RGB out
        outputs = self._session.run(None, {self._input_name: blob})
        return self._decoded(
            [np.asarray(values, np.float64).reshape(-1, values.shape[-1]) for values in outputs], shape
        )

    def _decoded(self, outputs: list[npt.NDArray[np.float64]], shape: tuple[int, int]) -> list[DetectedFace]:
        count = len(self.strides)
        found = []
        for i, stride in enumerate(self.strides):
            scores, sides, offsets = outputs[i][:, 0], outputs[i + count] * stride, outputs[i + 2 * count] * stride
            centres = anchor_centres(shape, stride, self.num_anchors)
            for n in np.flatnonzero(scores >= self.min_confidence):
                x, y = centres[n]
                left, top, right, bottom = x - sides[n, 0], y - sides[n, 1], x + sides[n, 2], y + sides[n, 3]
                found.append(
                    DetectedFace(
                        box=np.array([left, top, right - left, bottom - top]),
                        landmarks=centres[n] + offsets[n].reshape(5, 2),
                        confidence=float(scores[n]),
                    )
                )
        return without_overlaps(found, self.nms_overlap)

    def __reduce__(self) -> tuple[Any, ...]:
        return _load, (self.path, self.min_confidence, self.nms_overlap, self.sides)


def anchor_centres(shape: tuple[int, int], stride: int, num_anchors: int) -> npt.NDArray[np.float64]:
    """Return (n, 2) places, x then y, in pixels: row by row, each `num_anchors` times."""
    columns, rows = shape[0] // stride, shape[1] // stride
    cells = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
    return np.repeat(cells * float(stride), num_anchors, axis=0)


def _load(path: Path, min_confidence: float, nms_overlap: float, sides: tuple[int, ...]) -> Scrfd:
    return Scrfd(path, min_confidence=min_confidence, nms_overlap=nms_overlap, sides=sides)
