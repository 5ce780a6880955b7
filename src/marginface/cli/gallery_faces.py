"""What the verbs of a gallery share: its model, and the faces on photographs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

if TYPE_CHECKING:
    from marginface.cli.progress import Show
    from marginface.search.gallery import Gallery

GalleryArgument = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TEAM.db")]
CROP_SIZE = 112
"""Side of the crops that are looked at and kept, pixels."""
Which = Literal["all", "largest", "central"]


@dataclass(frozen=True, eq=False)
class Faces:
    """Aligned crops, and on which photographs they were."""

    crops: Any
    """(N, S, S, 3) uint8 RGB."""
    photographs: tuple[str, ...]
    """(N,)"""
    missed: tuple[str, ...]
    """A sentence for each photograph that gave no face."""


def open_with_model(location: str, model: Path | None) -> tuple[Gallery, Any]:
    """Return a gallery and its model: the one given, or that which the gallery remembers, or the usual one."""
    from marginface.recognition import open_model
    from marginface.search.gallery import Gallery

    with Gallery(location) as gallery:
        remembered = Path(gallery.settings.model_folder)
    usable = gallery.settings.model_folder and remembered.exists()
    loaded = open_model(model if model is not None else remembered if usable else None)
    return Gallery(location, model=loaded), loaded


def looking(
    *, aligned: bool, which: Which, detector: Path | None, workers: int, show: Show
) -> Callable[[Sequence[Any]], Faces]:
    """Return what looks for the faces on photographs; with `aligned` each picture is a crop already."""
    if aligned:
        return _crops_as_they_are
    from marginface.recognition import detect_and_align, open_detector

    finder = open_detector(detector, progress=show)

    def look(photographs: Sequence[Any]) -> Faces:
        faces = detect_and_align(list(photographs), detector=finder, which=which, workers=workers)
        return Faces(faces.crops, faces.photographs, tuple(m.detail or f"{m.name}: {m.reason}." for m in faces.missed))

    return look


def _crops_as_they_are(photographs: Sequence[Any]) -> Faces:
    import numpy as np

    from marginface.images.decode import BrokenImageError, decode_image
    from marginface.images.resize import fit

    crops, names, missed = [np.empty((0, CROP_SIZE, CROP_SIZE, 3), np.uint8)], [], []
    for photograph in photographs:
        try:
            image = decode_image(Path(photograph.picture).read_bytes(), name=photograph.name)
            crops.append(fit(image, size=CROP_SIZE, max_side=512, name=photograph.name)[None])
            names.append(photograph.name)
        except BrokenImageError as error:
            missed.append(str(error))
    return Faces(np.concatenate(crops), tuple(names), tuple(missed))


def as_png(crop: Any) -> bytes:
    """Return an RGB crop as a PNG file, which loses nothing."""
    import cv2

    return bytes(cv2.imencode(".png", crop[..., ::-1])[1])
