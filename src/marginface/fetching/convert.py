"""The archives of a public set -> one tar of aligned crops, `identity/image.jpg`, which `tar:` reads in place."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2

from marginface.errors import InputError, WorkError
from marginface.fetching.download import Progress
from marginface.fetching.landmarks import central_landmarks
from marginface.fetching.layouts import LAYOUTS, Photograph
from marginface.fetching.registry import PublicSet
from marginface.images.align import crop
from marginface.images.decode import decode_image
from marginface.images.detect import Detector, Pixels

CROP_SIZE = 112
JPEG_QUALITY = 95


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What became of the photographs of a set."""

    num_images: int
    num_identities: int
    without_detection: tuple[str, ...]
    """Keys of photographs in which the detector found no face, cropped by what the set itself tells instead."""
    failures: Mapping[str, str]
    """{key: why} of the photographs that are not in the tar."""


def convert(
    public_set: PublicSet, files: Mapping[str, Path], tar: Path, *, detector: Detector | None, progress: Progress
) -> Conversion:
    """Write the aligned crops of a set as a tar; it appears under its name only when it is whole.

    With the same archives, detector and version of OpenCV the tar is the same byte for byte.

    Args:
        public_set: which set.
        files: {role: path} of its downloaded files.
        tar: where to write.
        detector: finds the landmarks; without one they come from what the set tells (`layouts.py`).
        progress: told the photographs done and the number the set should have.

    Raises:
        InputError: an archive is damaged or not what it should be, or the registry names an unknown layout.
        WorkError: not a single photograph, or fewer than half of them, could be used.
    """
    if public_set.layout not in LAYOUTS:
        raise InputError(
            f"{public_set.name}: there is no layout {public_set.layout!r}; choose from {', '.join(LAYOUTS)}."
        )
    photographs = _counted(LAYOUTS[public_set.layout](files), public_set, progress)
    part = tar.with_name(tar.name + ".part")
    try:
        conversion = _write_crops(photographs, part, detector)
        if conversion.num_images <= len(conversion.failures):
            nothing = ("the archive", "it holds no photograph where they are looked for")
            key, reason = next(iter(conversion.failures.items()), nothing)
            raise WorkError(
                f"{public_set.name}: {conversion.num_images} photographs could be used and {len(conversion.failures)} "
                f"not ({key}: {reason}); is this the set that the registry describes?"
            )
        os.replace(part, tar)
    finally:
        part.unlink(missing_ok=True)
    return conversion


def _write_crops(photographs: Iterator[Photograph], tar: Path, detector: Detector | None) -> Conversion:
    keys: set[str] = set()
    without_detection: list[str] = []
    failures: dict[str, str] = {}
    with tarfile.open(tar, "w") as out:
        for photograph in photographs:
            key = photograph.key
            if key in keys:
                failures[key] = "the archive holds a second photograph of this name"
                continue
            try:
                image = decode_image(photograph.encoded, name=key)
                landmarks = central_landmarks(detector, image) if detector else None
                if detector and landmarks is None:
                    without_detection.append(key)
                _add(
                    out,
                    key,
                    encode_jpeg(
                        crop(image, photograph.landmarks(image) if landmarks is None else landmarks, size=CROP_SIZE)
                    ),
                )
                keys.add(key)
            except InputError as error:  # broken, or no landmarks: this one photograph cannot be used
                failures[key] = str(error).removeprefix(f"{key}: ").rstrip(".")
    return Conversion(
        num_images=len(keys),
        num_identities=len({key.partition("/")[0] for key in keys}),
        without_detection=tuple(key for key in without_detection if key in keys),
        failures=failures,
    )


def encode_jpeg(image: Pixels) -> bytes:
    """Return an RGB image as JPEG, quality 95."""
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return encoded.tobytes()


def _counted(photographs: Iterator[Photograph], public_set: PublicSet, progress: Progress) -> Iterator[Photograph]:
    progress("crops", 0, public_set.num_images)
    for done, photograph in enumerate(photographs, start=1):
        yield photograph
        progress("crops", done, public_set.num_images)


def _add(out: tarfile.TarFile, key: str, content: bytes) -> None:
    member = tarfile.TarInfo(key)  # no time, no owner: the same photographs make the same tar
    member.size = len(content)
    out.addfile(member, io.BytesIO(content))
