"""A picture of what augmentation does: images down, draws across, the strength of what happened below each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from marginface.config import load
from marginface.errors import InputError, WorkError
from marginface.images.augment import AugmentConfig
from marginface.images.augmentation import OPERATIONS
from marginface.images.crop import decode_crop
from marginface.images.resize import fit
from marginface.records.record import RecordSource

Pixels = npt.NDArray[np.uint8]

_CAPTION = 16
_TITLE = 132
"""Heights of the strip below an image and width of that at the left, pixels."""


@dataclass(frozen=True)
class Row:
    """One row of a sheet."""

    title: str
    images: tuple[Pixels, ...]
    """All of one size."""
    captions: tuple[str, ...]
    """One for each image."""


def sheet_of_config(records: RecordSource, config: AugmentConfig, *, num_images: int, seed: int, size: int) -> Pixels:
    """Return images down and the first eight epochs of a recipe across, as training would see them.

    Raises:
        InputError: fewer images than asked for, or a broken one.
    """
    augment = config.build(seed=seed)
    rows = []
    for index, image in _spread(records, num_images, size):
        images, captions = [image], ["as it is"]
        for epoch in range(8):
            augmented, strengths = augment.alone(image, epoch=epoch, index=index)
            images.append(augmented)
            captions.append(" ".join(f"{strength:.2f}" if strength else "-" for strength in strengths))
        rows.append(Row(f"image {index}", tuple(images), tuple(captions)))
    return sheet(rows)


def sheet_of_operations(records: RecordSource, *, num_images: int, seed: int, size: int) -> Pixels:
    """Return a row for each operation at its default settings, with an image a column.

    Raises:
        InputError: fewer images than asked for, or a broken one.
    """
    faces = list(_spread(records, num_images, size))
    rows = [Row("as it is", tuple(image for _, image in faces), ("",) * len(faces))]
    for row, (kind, made) in enumerate(OPERATIONS.items()):
        if kind == "one_of":
            continue  # it has no looks of its own
        alone = AugmentConfig(operations=(load(made, {}),), horizontal_flip=0.0)
        augment = alone.build(seed=seed + row)
        done = [augment.alone(image, epoch=0, index=index) for index, image in faces]
        rows.append(Row(kind, tuple(image for image, _ in done), tuple(f"{s[0]:.2f}" for _, s in done)))
    return sheet(rows)


def sheet(rows: Sequence[Row]) -> Pixels:
    """Return the rows below each other, titles at the left, captions below the images."""
    drawn = []
    for row in rows:
        size = row.images[0].shape[0]
        cells = [_labelled(image, caption) for image, caption in zip(row.images, row.captions, strict=True)]
        title = np.full((size + _CAPTION, _TITLE, 3), 255, np.uint8)
        _write(title, row.title, (6, size // 2))
        drawn.append(np.hstack([title, *cells]))
    return np.vstack(drawn)


def write_picture(image: Pixels, path: Path) -> None:
    """Write an RGB image as a PNG or, smaller, as a JPEG.

    Raises:
        InputError: a name that ends in neither .png nor .jpg.
        WorkError: it cannot be written.
    """
    if path.suffix not in (".png", ".jpg"):
        raise InputError(f"{path}: give the picture a name that ends in .png or .jpg.")
    settings = [cv2.IMWRITE_JPEG_QUALITY, 90] if path.suffix == ".jpg" else []
    _, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise WorkError(f"{path}: the picture could not be written ({error.strerror or error}).") from error


def _spread(records: RecordSource, num_images: int, size: int) -> list[tuple[int, Pixels]]:
    """Return (index, crop) of images spread evenly over the source, and so over its people."""
    if not 1 <= num_images <= len(records):
        raise InputError(f"{records.location} has {len(records)} images; show 1 to as many, not {num_images}.")
    chosen = []
    for index in (np.arange(num_images) * len(records) // num_images).tolist():
        record = records[index]
        pixels = decode_crop(record.image, np.empty((size, size, 3), np.uint8), max_side=512, name=record.key)
        chosen.append((index, fit(pixels, size=size, max_side=512, name=record.key)))
    return chosen


def _labelled(image: Pixels, caption: str) -> Pixels:
    strip = np.full((_CAPTION, image.shape[1], 3), 255, np.uint8)
    _write(strip, caption, (4, _CAPTION - 5))
    return np.vstack([image, strip])


def _write(canvas: Pixels, text: str, place: tuple[int, int]) -> None:
    cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.36, (60, 60, 60), 1, cv2.LINE_AA)
