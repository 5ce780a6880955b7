"""Photographs with painted people in magenta frames, a detector that finds the frames, and a model that knows colours.

Together they make the whole way from a folder to an answer exact and quick: a face is where its frame is, and the
embedding of one identity's views is nearly the same (see `synthetic.face`).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from marginface.images.align import ARCFACE_TEMPLATE_112
from marginface.images.detect import DetectedFace, largest_first
from marginface.images.normalize import InputContract
from marginface.models import FaceModel, ModelCard, Threshold
from tests.helpers.synthetic import face

FRAME = (255, 0, 255)
Place = tuple[int, int, int, int]
"""identity, left, top, side in pixels."""


def photograph(people: Sequence[Place], *, view: int = 0, width: int = 320, height: int = 240) -> np.ndarray:
    """Return (height, width, 3) uint8 RGB with a framed face for each place."""
    image = np.full((height, width, 3), 120, np.uint8)
    for identity, left, top, side in people:
        patch = face(identity=identity, image=view, size=side)
        patch[[0, -1]], patch[:, [0, -1]] = FRAME, FRAME
        image[top : top + side, left : left + side] = patch
    return image


def write_photograph(path: Path, people: Sequence[Place], *, view: int = 0, orientation: int | None = None) -> Path:
    """Write it as PNG, whatever the suffix says, and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(photograph(people, view=view)).save(buffer, "PNG", exif=exif)
    path.write_bytes(buffer.getvalue())
    return path


class FramedFaces:
    """A detector that finds the frames."""

    def detect(self, image: np.ndarray) -> list[DetectedFace]:
        frames = (image == FRAME).all(axis=2).astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(frames, connectivity=8)
        found = []
        for left, top, width, height, _ in stats[1:count]:
            box = np.array([left, top, width, height], dtype=np.float64)
            landmarks = box[:2] + (ARCFACE_TEMPLATE_112.astype(np.float64) + 0.5) * (width / 112) - 0.5
            found.append(DetectedFace(box=box, landmarks=landmarks, confidence=0.9))
        return largest_first(found)


@dataclass(frozen=True, kw_only=True)
class ColoursConfig:
    """A backbone that learns nothing: the mean colour of 6 x 6 fields, less their mean."""

    kind: str = "tests.helpers.photographs:ColoursConfig"
    embedding_dim: int = 108

    def build(self, *, input_size: int = 112, seed: int = 0) -> nn.Module:
        return Colours()


class Colours(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        fields = nn.functional.adaptive_avg_pool2d(images[:, :, 6:-6, 6:-6], 6).flatten(1)
        return self.weight * (fields - fields.mean(dim=1, keepdim=True))


def colours(*thresholds: Threshold) -> FaceModel:
    """Return the model, with these thresholds on its card."""
    config = ColoursConfig()
    contract = InputContract(input_size=112)
    return FaceModel(config.build(), config, contract, ModelCard(name="colours", thresholds=thresholds))


def threshold(score: float = 0.5, *, fmr: float = 1e-3, reject_below: float | None = None) -> Threshold:
    """Return a threshold for `colours`: views of one person score above 0.7, of two below 0.4."""
    return Threshold(
        score=score,
        target_fmr=fmr,
        achieved_fmr=fmr,
        data="painted people",
        flip="none",
        reject_below=reject_below,
        reject_fnmr=None if reject_below is None else 0.01,
    )
