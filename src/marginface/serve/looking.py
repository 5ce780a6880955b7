"""Photographs of a request to faces: decoded and looked at a few at a time, so that memory stays bounded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from marginface.images.detect import DetectedFace, Detector, Which
from marginface.images.photograph import read_photograph
from marginface.images.resize import fit
from marginface.recognition.aligned import CROP_SIZE, AlignedFaces, detect_and_align
from marginface.recognition.photographs import Photograph
from marginface.serve import answers
from marginface.serve.refusals import busy
from marginface.serve.settings import ServeSettings

MAX_CROP_SIDE = 512
"""A larger picture is no aligned crop, pixels."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Looked:
    """What was seen on the photographs of one request."""

    photographs: list[answers.Photograph]
    crops: npt.NDArray[np.uint8]
    """(N, S, S, 3) uint8 RGB."""
    owners: list[int]
    """(N,) the photograph of each face."""
    aligned: AlignedFaces | None
    """The faces as the detector found them; None where the pictures were crops already."""

    def faces(self) -> list[dict[str, Any]]:
        """Return the fields of `answers.Face` for each face."""
        if self.aligned is None:
            nothing = {"box": None, "landmarks": None, "confidence": None, "eye_distance": None}
            return [{"photograph": owner, **nothing} for owner in self.owners]
        return [
            {
                "photograph": owner,
                "box": box_of(face),
                "landmarks": [(round(x, 2), round(y, 2)) for x, y in face.landmarks.tolist()],
                "confidence": round(face.confidence, 4),
                "eye_distance": round(face.eye_distance, 2),
            }
            for owner, face in zip(self.owners, self.aligned.faces, strict=True)
        ]


class Looker:
    """Decodes and detects, `workers` photographs in the same moment, whoever asks."""

    def __init__(self, detector: Detector, settings: ServeSettings) -> None:
        self.detector = detector
        self._settings = settings
        self._places = threading.BoundedSemaphore(settings.workers)

    def look(self, files: Sequence[bytes], *, which: Which = "all", aligned: bool = False) -> Looked:
        """Return the faces on photographs; with `aligned` each picture is a crop already.

        Raises:
            BrokenImageError: a picture cannot be used; the sentence counts from "photograph 1".
            Refused: no place became free in time.
        """
        see: Callable[[str, npt.NDArray[np.uint8]], AlignedFaces | None] = (
            (lambda name, image: None)
            if aligned
            else (
                lambda name, image: detect_and_align(
                    [Photograph(name, image)], detector=self.detector, which=which, workers=1
                )
            )
        )
        seen: list[AlignedFaces] = []
        crops = [np.empty((0, CROP_SIZE, CROP_SIZE, 3), np.uint8)]
        photographs: list[answers.Photograph] = []
        owners: list[int] = []
        for position, file in enumerate(files):
            name = f"photograph {position + 1}"
            with self.place():
                image = self.decoded(file, name)
                found = see(name, image)
                if found is None:
                    new = fit(image, size=CROP_SIZE, max_side=MAX_CROP_SIDE, name=name)[None]
                else:
                    new = found.crops
                    seen.append(found)
            height, width = image.shape[:2]
            num_found = 1 if found is None else sum(found.num_found.values())
            photographs.append(answers.Photograph(width=width, height=height, faces_found=num_found))
            crops.append(new)
            owners += [position] * len(new)
        together = None if aligned else _joined(seen, np.concatenate(crops))
        return Looked(photographs=photographs, crops=np.concatenate(crops), owners=owners, aligned=together)

    def decoded(self, file: bytes, name: str) -> npt.NDArray[np.uint8]:
        """Return a file as an upright picture; call it in a `place`."""
        return read_photograph(file, name=name, max_pixels=self._settings.max_pixels)[0]

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one of the places for pictures in memory."""
        if not self._places.acquire(timeout=self._settings.timeout_seconds):
            raise busy("too many photographs are waiting")
        try:
            yield
        finally:
            self._places.release()


def box_of(face: DetectedFace) -> answers.Box:
    """Return where a face is."""
    left, top, width, height = (round(value, 1) for value in face.box.tolist())
    return answers.Box(left=left, top=top, width=width, height=height)


def _joined(seen: Sequence[AlignedFaces], crops: npt.NDArray[np.uint8]) -> AlignedFaces:
    return AlignedFaces(
        crops=crops,
        faces=tuple(face for one in seen for face in one.faces),
        photographs=tuple(name for one in seen for name in one.photographs),
        num_photographs=len(seen),
        num_found={name: count for one in seen for name, count in one.num_found.items()},
        missed=tuple(missed for one in seen for missed in one.missed),
    )
