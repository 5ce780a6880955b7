"""One picture of one drawn person: drawn straight into its crop, with the landmarks that are true there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marginface.drawn import camera, geometry, render
from marginface.drawn.head import Head, build_head
from marginface.drawn.identity import Identity
from marginface.drawn.nuisance import Nuisance
from marginface.images.align import similarity_transform

PHOTOGRAPH_SIZE = 256
"""Side of the imagined photograph, pixels; one pixel a millimetre on the head."""


@dataclass(frozen=True)
class Picture:
    """A drawn picture and the truth about it."""

    image: npt.NDArray[np.uint8]
    """(size, size, 3) RGB, before JPEG."""
    landmarks: npt.NDArray[np.float32]
    """(5, 2) true pixels in `image`, in the order of the alignment template."""
    photograph_landmarks: npt.NDArray[np.float32]
    """(5, 2) true pixels in the photograph that the crop would come from."""


def draw_crop(identity: Identity, nuisance: Nuisance, *, size: int = 112) -> Picture:
    """Return the aligned crop, as a detector with the picture's `landmark_jitter` would have cut it."""
    head = build_head(identity, nuisance)
    true = _photograph_landmarks(identity, nuisance, head)
    rng = np.random.default_rng([nuisance.detail, 0])
    found = true + rng.normal(0.0, 1.0, true.shape) * nuisance.landmark_jitter
    return _draw(identity, nuisance, head, true, similarity_transform(found, size), size)


def draw_photograph(identity: Identity, nuisance: Nuisance) -> Picture:
    """Return the picture that is not aligned, `PHOTOGRAPH_SIZE` pixels wide: the head as it was held."""
    head = build_head(identity, nuisance)
    true = _photograph_landmarks(identity, nuisance, head)
    return _draw(identity, nuisance, head, true, np.eye(2, 3), PHOTOGRAPH_SIZE)


def _photograph_landmarks(identity: Identity, nuisance: Nuisance, head: Head) -> npt.NDArray[np.float64]:
    on_head = geometry.landmarks_on_head(identity, nuisance, head)
    return on_head @ geometry.camera_from_head(nuisance).T + PHOTOGRAPH_SIZE / 2


def _draw(
    identity: Identity,
    nuisance: Nuisance,
    head: Head,
    true: npt.NDArray[np.float64],
    pixel_from_photograph: npt.NDArray[np.float64],
    size: int,
) -> Picture:
    linear, offset = pixel_from_photograph[:, :2], pixel_from_photograph[:, 2]
    pixel_from_camera = np.column_stack([linear, linear @ np.full(2, PHOTOGRAPH_SIZE / 2) + offset])
    drawn = render.draw_head(identity, nuisance, head, pixel_from_camera=pixel_from_camera, size=size)
    return Picture(
        image=camera.expose(drawn, nuisance),
        landmarks=(true @ linear.T + offset).astype(np.float32),
        photograph_landmarks=true.astype(np.float32),
    )
