"""Two prints of every image: a checksum of its bytes, and a tiny grey picture that survives a new encoding."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.images.decode import decode_image
from marginface.records.record import RecordSource

SIDE = 16
"""Pixels of the tiny picture's side: coarse enough for JPEG, resizing and small shifts, fine enough to tell photographs
of one person apart."""
_IMAGES_A_ROUND = 512


@dataclass(frozen=True, eq=False)
class Prints:
    """Of N images, in the order of their source."""

    digest: npt.NDArray[np.void]
    """(N,) 16 bytes of BLAKE2b over the encoded file."""
    tiny: npt.NDArray[np.float32]
    """(N, 256) grey picture of zero mean and length 1, so that products are correlations; zero where undecodable."""

    def __len__(self) -> int:
        return len(self.digest)

    def alike(self, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return (P,) correlations in [-1, 1] of the tiny pictures at these positions."""
        return np.asarray(np.einsum("pd,pd->p", self.tiny[left], self.tiny[right]), dtype=np.float32)


def image_prints(
    source: RecordSource, *, num_threads: int = 2, progress: Callable[[int, int], None] | None = None
) -> Prints:
    """Return the prints of all images of a source.

    An image that cannot be decoded keeps its checksum and gets a tiny picture of zeros, which is like no other.

    Args:
        source: the records.
        num_threads: that read and decode; both leave Python's lock.
        progress: called with (images done, images in all).
    """
    num = len(source)
    digest = np.zeros(num, dtype="V16")
    tiny = np.zeros((num, SIDE * SIDE), dtype=np.float32)

    def look(index: int) -> None:
        record = source[index]
        image = record.image
        content = image if isinstance(image, bytes) else image.tobytes()
        digest[index] = np.void(hashlib.blake2b(content, digest_size=16).digest())
        try:
            tiny[index] = _tiny(decode_image(image, name=record.key))
        except InputError:
            return

    with ThreadPoolExecutor(num_threads) as threads:
        for start in range(0, num, _IMAGES_A_ROUND):
            stop = min(start + _IMAGES_A_ROUND, num)
            for _ in threads.map(look, range(start, stop)):
                pass
            if progress is not None:
                progress(stop, num)
    return Prints(digest, tiny)


def _tiny(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = np.asarray(cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA), dtype=np.float32).ravel()
    small -= small.mean()
    length = float(np.linalg.norm(small))
    return (
        np.divide(small, length) if length > 1.0 else np.zeros_like(small)
    )  # an even grey area has nothing to compare
