"""What a quality method is: images of faces in, one number each out, higher is better."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from marginface.images.detect import DetectedFace
from marginface.images.resize import fit
from marginface.models.face_model import FaceModel
from marginface.records.record import Record

Pixels = npt.NDArray[np.uint8]
Scores = npt.NDArray[np.float64]
Need = Literal["model", "landmarks", "photograph landmarks", "detector score"]


@dataclass(frozen=True, kw_only=True)
class QualityMethod:
    """One way to score images of faces."""

    compute: Callable[[QualityBatch], Scores]
    """(B,) float64, higher is better."""
    meaning: str
    """What the number is, in a line."""
    component: str = ""
    """The quality component of ISO/IEC 29794-5 that it stands nearest to, as OFIQ spells it; empty where none does."""
    needs: Need | None = None
    """What the images or the caller must bring."""


@dataclass(eq=False)
class QualityBatch:
    """B decoded images with what is known of them."""

    records: Sequence[Record]
    images: Sequence[Pixels]
    """(H, W, 3) uint8 RGB each, at the size they came in."""
    model: FaceModel | None = None
    faces: Sequence[DetectedFace | None] | None = None
    """What a detector found in each image; None where none was asked."""
    max_side: int = 512
    """A larger image is no aligned crop, pixels."""

    def __len__(self) -> int:
        return len(self.records)

    @cached_property
    def luminance(self) -> list[npt.NDArray[np.float64]]:
        """(H, W) each: 0.2126 R + 0.7152 G + 0.0722 B, as OFIQ weighs them (ITU-R BT.709), 0..255."""
        return [image @ np.array([0.2126, 0.7152, 0.0722]) for image in self.images]

    @cached_property
    def crops(self) -> torch.Tensor:
        """(B, S, S, 3) uint8, of the model's size."""
        assert self.model is not None  # `assess` refuses methods whose needs are not met
        size = self.model.contract.input_size
        fitted = [
            fit(image, size=size, max_side=self.max_side, name=record.key)
            for image, record in zip(self.images, self.records, strict=True)
        ]
        return torch.from_numpy(np.stack(fitted))

    @cached_property
    def embeddings(self) -> npt.NDArray[np.float32]:
        """(B, D) of the images alone: adding a mirror image would double the norm."""
        assert self.model is not None
        return np.asarray(self.model.embed(self.crops, flip="none").cpu().numpy(), np.float32)

    @cached_property
    def landmarks(self) -> list[npt.NDArray[np.float64] | None]:
        """(5, 2) each, in pixels of the image: the record's own, or the detector's; None where neither has them."""
        return [
            np.asarray(record.landmarks, np.float64)
            if record.landmarks is not None
            else (None if face is None else np.asarray(face.landmarks, np.float64))
            for record, face in zip(self.records, self._faces, strict=True)
        ]

    @cached_property
    def photograph_landmarks(self) -> list[npt.NDArray[np.float64] | None]:
        """(5, 2) each, in pixels of the photograph that the crop was cut from, where the record knows."""
        found = (record.meta.get("photograph_landmarks") for record in self.records)
        return [None if points is None else np.asarray(points, np.float64) for points in found]

    @cached_property
    def detector_scores(self) -> list[float | None]:
        """The confidence of the detector, the record's own or that of the detector that was asked."""
        return [
            float(record.meta["detector_score"])
            if "detector_score" in record.meta
            else (None if face is None else face.confidence)
            for record, face in zip(self.records, self._faces, strict=True)
        ]

    @property
    def _faces(self) -> Sequence[DetectedFace | None]:
        return [None] * len(self.records) if self.faces is None else self.faces
