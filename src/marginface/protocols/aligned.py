"""Loose crops become aligned ones by the landmarks that come with a protocol."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.records.record import Record, RecordSource
from marginface.records.wrapped import Wrapped


class AlignedRecords(Wrapped):
    """A source whose images are cut to the template of 112 pixels by given landmarks when they are read."""

    def __init__(self, source: RecordSource, landmarks: npt.NDArray[np.float32], *, where: str) -> None:
        """Keep both.

        Args:
            source: photographs or loose crops.
            landmarks: (N, 5, 2) pixels in the source's order, NaN where there are none.
            where: the file they come from, for messages.
        """
        self.source, self.landmarks, self.where = source, landmarks, where

    def __getitem__(self, index: int) -> Record:
        """Return the record with its crop decoded and aligned.

        Raises:
            InputError: an image that cannot be decoded, or one without landmarks.
        """
        from marginface.images.align import align
        from marginface.images.decode import decode_image

        record = self.source[index]
        points = self.landmarks[index]
        if not np.isfinite(points).all():
            raise InputError(f"{self.where}: {record.key} has no landmarks; set align to false for aligned crops.")
        image = align(decode_image(record.image, name=record.key), points)
        return dataclasses.replace(record, image=image, landmarks=points)
