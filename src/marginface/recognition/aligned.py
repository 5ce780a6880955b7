"""Photographs -> aligned crops of the faces in them, and a word on every photograph that gave none.

A photograph without a face, or one that cannot be read, is an answer and not an exception, and none is dropped in
silence: failures to acquire belong in error rates (ISO/IEC 19795-1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.images.align import crop
from marginface.images.decode import BrokenImageError
from marginface.images.detect import DetectedFace, Detector, Which, choose
from marginface.images.photograph import read_photograph
from marginface.recognition.photographs import Photograph, as_photographs, is_single

CROP_SIZE = 112
Progress = Callable[[int, int], None]
"""Called with (photographs done, photographs in all)."""
Reason = Literal["no face", "cannot be read", "too small"]
MIN_EYE_DISTANCE = 7.0
"""Pixels between the eyes below which a face gets no answer unless told otherwise; its crop is enlarged 5 times.

As small as was tried, and still recognised by a good model: docs/results/finding.md."""


@dataclass(frozen=True, kw_only=True)
class Missed:
    """A photograph that gave no face, or none that can be used."""

    name: str
    reason: Reason
    detail: str = ""
    """The sentence that says what is wrong with it."""


@dataclass(frozen=True, eq=False, kw_only=True)
class AlignedFaces:
    """N faces cut out of M photographs."""

    crops: npt.NDArray[np.uint8]
    """(N, S, S, 3) RGB, aligned to the template."""
    faces: tuple[DetectedFace, ...]
    """(N,) where they were, in the pixels of their upright photograph."""
    photographs: tuple[str, ...]
    """(N,) the name of the photograph of each."""
    num_photographs: int
    """M."""
    num_found: dict[str, int]
    """{photograph: faces that the detector found}, of which fewer may have been asked for."""
    missed: tuple[Missed, ...] = ()
    """The photographs without any face here."""

    def __len__(self) -> int:
        return len(self.faces)

    @property
    def keys(self) -> tuple[str, ...]:
        """(N,) unique names of the faces: the photograph's, and `#2`, `#3` for further faces of it."""
        seen: Counter[str] = Counter()
        keys = []
        for name in self.photographs:
            seen[name] += 1
            keys.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
        return tuple(keys)

    @property
    def confidences(self) -> npt.NDArray[np.float32]:
        """(N,) of the detector."""
        return np.array([face.confidence for face in self.faces], dtype=np.float32)

    @property
    def eye_distances(self) -> npt.NDArray[np.float32]:
        """(N,) pixels between the eyes in the photograph; a crop of 112 pixels has 35."""
        return np.array([face.eye_distance for face in self.faces], dtype=np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class Seen:
    """What was seen in one photograph."""

    name: str
    faces: tuple[DetectedFace, ...] = ()
    """Those that were asked for."""
    crops: npt.NDArray[np.uint8]
    """(n, S, S, 3), one for each of `faces`."""
    num_found: int = 0
    missed: Missed | None = None


def detect_and_align(
    pictures: Any,
    *,
    detector: Detector | None = None,
    which: Which = "all",
    size: int = CROP_SIZE,
    workers: int = 2,
    progress: Progress | None = None,
) -> AlignedFaces:
    """Return the faces of one or many pictures, cut out and aligned, largest first within a picture.

    Args:
        pictures: a path, the bytes of a file, an (H, W, 3) uint8 RGB array, a PIL image, a folder, or a list of them.
        detector: finds the faces; YuNet unless given, which is downloaded on first use.
        which: of several faces in a picture: "all", the "largest", or the "central" one.
        size: side of the crops, pixels.
        workers: threads that decode and detect; the result does not depend on it.
        progress: called after every photograph.

    Raises:
        BrokenImageError: `pictures` is a single one that cannot be read; among several it is counted in `missed`.
        InputError: an empty folder, or something that is no picture.
    """
    photographs = as_photographs(pictures)
    seen = list(look(photographs, detector=detector, which=which, size=size, workers=workers, progress=progress))
    if is_single(pictures) and seen[0].missed is not None and seen[0].missed.reason == "cannot be read":
        raise BrokenImageError(seen[0].missed.detail)
    return AlignedFaces(
        crops=np.concatenate([np.empty((0, size, size, 3), np.uint8), *(one.crops for one in seen)]),
        faces=tuple(face for one in seen for face in one.faces),
        photographs=tuple(one.name for one in seen for _ in one.faces),
        num_photographs=len(seen),
        num_found={one.name: one.num_found for one in seen},
        missed=tuple(one.missed for one in seen if one.missed is not None),
    )


def look(
    photographs: Sequence[Photograph],
    *,
    detector: Detector | None,
    which: Which,
    size: int = CROP_SIZE,
    workers: int = 2,
    progress: Progress | None = None,
) -> Iterator[Seen]:
    """Yield what is seen in each photograph, in their order; the arguments are those of `detect_and_align`.

    Raises:
        InputError: two photographs of one name.
    """
    twice = [name for name, count in Counter(p.name for p in photographs).items() if count > 1]
    if twice:
        raise InputError(f"{twice[0]}: this photograph is given twice; give each once.")
    finder = detector if detector is not None else _default_detector()
    with ThreadPoolExecutor(max(workers, 1)) as threads:
        try:
            results = threads.map(lambda photograph: _look_at(photograph, finder, which, size), photographs)
            for done, seen in enumerate(results, start=1):
                yield seen
                if progress is not None:
                    progress(done, len(photographs))
        finally:
            threads.shutdown(cancel_futures=True)


def _look_at(photograph: Photograph, detector: Detector, which: Which, size: int) -> Seen:
    name, nothing = photograph.name, np.empty((0, size, size, 3), np.uint8)
    try:
        image, _ = read_photograph(photograph.picture, name=name)
    except InputError as error:
        return Seen(name=name, crops=nothing, missed=Missed(name=name, reason="cannot be read", detail=str(error)))
    found = detector.detect(image)
    faces = choose(found, which, width=image.shape[1], height=image.shape[0])
    if not faces:
        return Seen(name=name, crops=nothing, missed=Missed(name=name, reason="no face"))
    crops = np.stack([crop(image, face.landmarks, size=size) for face in faces])
    return Seen(name=name, faces=tuple(faces), crops=crops, num_found=len(found))


def _default_detector() -> Detector:
    from marginface.recognition.defaults import open_detector

    return open_detector(None)
