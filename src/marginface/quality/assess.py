"""Records become quality scores: every image decoded once, all methods asked about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError, one_of
from marginface.images.decode import BrokenImageError, decode_image
from marginface.images.detect import DetectedFace, Detector
from marginface.models.face_model import FaceModel
from marginface.quality.method import Need, Pixels, QualityBatch, QualityMethod
from marginface.quality.methods import QUALITY
from marginface.records.embedding_table import EmbeddingTable
from marginface.records.record import Record, RecordSource

Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""


@dataclass(frozen=True, eq=False)
class Assessment:
    """Quality scores of the images of a source that could be read."""

    source: str
    """Where the images came from."""
    keys: tuple[str, ...]
    """(N,) their names."""
    labels: npt.NDArray[np.int64]
    """(N,) their people."""
    identities: tuple[str, ...]
    """(C,) names of the people."""
    scores: Mapping[str, npt.NDArray[np.float64]]
    """(N,) by method, higher is better; NaN where an image has no value, for example no face that a detector finds."""
    metas: tuple[Mapping[str, Any], ...]
    """(N,) what the records know of themselves."""
    vectors: npt.NDArray[np.float32] | None
    """(N, D) embeddings of the images alone, where a model was given."""
    fingerprint: str
    """Of the model; empty without one."""
    broken: tuple[str, ...]
    """A sentence for each image that was left out."""

    def __len__(self) -> int:
        return len(self.keys)

    def table(self) -> EmbeddingTable:
        """Return the embeddings as a table with the scores as columns, and the first of them as "quality".

        Raises:
            InputError: no model was given.
        """
        if self.vectors is None:
            raise InputError(f"{self.source}: without a model there are no embeddings to make a table of.")
        columns = {name: scores.astype(np.float32) for name, scores in self.scores.items()}
        return EmbeddingTable(
            vectors=self.vectors,
            norms=np.linalg.norm(self.vectors, axis=1).astype(np.float32),
            keys=self.keys,
            labels=self.labels,
            identities=self.identities,
            fingerprint=self.fingerprint,
            meta={"source": self.source, "flip": "none", "broken": list(self.broken)},
            columns={"quality": next(iter(columns.values())), **columns},
        )


def usable_methods(
    source: RecordSource, *, model: FaceModel | None = None, detector: Detector | None = None
) -> tuple[list[str], dict[str, str]]:
    """Return the methods that this source and these helpers can serve, and for each of the others why not.

    The first record speaks for all of them. Slow methods (`dropout_stability`, which asks more of a network than it
    was trained for) are among the usable ones too.
    """
    missing = _missing(source, model, detector)
    usable = [name for name, method in QUALITY.items() if method.needs not in missing]
    return usable, {name: missing[m.needs] for name, m in QUALITY.items() if m.needs in missing}


def assess(
    source: RecordSource,
    methods: Sequence[str],
    *,
    model: FaceModel | None = None,
    detector: Detector | None = None,
    batch_size: int = 32,
    max_side: int = 512,
    skip_broken: bool = False,
    progress: Progress | None = None,
) -> Assessment:
    """Return the scores of all images of a source by each method.

    Args:
        source: aligned face crops.
        methods: keys of `QUALITY`.
        model: whose embeddings are asked.
        detector: finds landmarks where records carry none; it sees the crop with a border of half its side.
        batch_size: images a step.
        max_side: a larger image is no aligned crop, pixels.
        skip_broken: leave out images that cannot be read, and name them, rather than stop.
        progress: called after every batch.

    Raises:
        InputError: no images, an unknown method, a method whose needs are not met, or a broken image (unless skipped).
    """
    if len(source) == 0:
        raise InputError(f"{source.location}: there are no images to assess.")
    chosen = _chosen(methods, source, model, detector)
    parts: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in chosen}
    kept: list[Record] = []
    vectors: list[npt.NDArray[np.float32]] = []
    broken: list[str] = []
    done = 0
    for records, images in _batches(source, batch_size, skip_broken, broken):
        faces = None if detector is None else [_face(detector, image) for image in images]
        batch = QualityBatch(records, images, model, faces, max_side)
        for name, method in chosen.items():
            parts[name].append(method.compute(batch))
        if model is not None:
            vectors.append(batch.embeddings)
        kept += [Record(key=r.key, image=b"", label=r.label, meta=r.meta) for r in records]
        done += len(batch)
        if progress is not None:
            progress(done + len(broken), len(source))
    if not kept:
        raise InputError(f"{source.location}: none of its images can be used.")
    return Assessment(
        source=source.location,
        keys=tuple(record.key for record in kept),
        labels=np.array([record.label for record in kept], np.int64),
        identities=tuple(source.identities),
        scores={name: np.concatenate(scores) for name, scores in parts.items()},
        metas=tuple(record.meta for record in kept),
        vectors=np.concatenate(vectors) if vectors else None,
        fingerprint="" if model is None else model.fingerprint,
        broken=tuple(broken),
    )


def _chosen(
    methods: Sequence[str], source: RecordSource, model: FaceModel | None, detector: Detector | None
) -> dict[str, QualityMethod]:
    missing = _missing(source, model, detector)
    for name in methods:
        if name not in QUALITY:
            raise InputError(f"there is no quality method {name!r}{one_of(name, list(QUALITY))}.")
        need = QUALITY[name].needs
        if need in missing:
            raise InputError(f"{source.location}: {name} cannot be computed: {missing[need]}.")
    if not methods:
        raise InputError(f"no quality method is named; give one or more of {', '.join(QUALITY)}.")
    return {name: QUALITY[name] for name in methods}


def _missing(source: RecordSource, model: FaceModel | None, detector: Detector | None) -> dict[Need | None, str]:
    """Return which needs are not met, and why."""
    first = source[0]
    has: dict[Need, tuple[bool, str]] = {
        "model": (model is not None, "it needs a model"),
        "landmarks": (
            first.landmarks is not None or detector is not None,
            "the records carry no landmarks; name a detector",
        ),
        "photograph landmarks": (
            "photograph_landmarks" in first.meta,
            "the records do not know the landmarks in the photograph that they were cut from",
        ),
        "detector score": (
            "detector_score" in first.meta or detector is not None,
            "the records carry no detector score; name a detector",
        ),
    }
    return {need: why for need, (met, why) in has.items() if not met}


def _batches(
    source: RecordSource, size: int, skip_broken: bool, broken: list[str]
) -> Iterator[tuple[list[Record], list[Pixels]]]:
    records: list[Record] = []
    images: list[Pixels] = []
    for index in range(len(source)):
        record = source[index]
        try:
            image = decode_image(record.image, name=record.key)
        except BrokenImageError as error:
            if not skip_broken:
                raise
            broken.append(str(error))
            continue
        records.append(record)
        images.append(image)
        if len(images) == size:
            yield records, images
            records, images = [], []
    if images:
        yield records, images


def _face(detector: Detector, image: Pixels) -> DetectedFace | None:
    """Return the largest face of a crop, in the crop's pixels: detectors look for faces with something around them."""
    border = max(image.shape[:2]) // 2
    around = np.pad(image, ((border, border), (border, border), (0, 0)))
    faces = detector.detect(around)
    if not faces:
        return None
    face = faces[0]
    box = face.box - np.array([border, border, 0, 0])
    return DetectedFace(box=box, landmarks=face.landmarks - border, confidence=face.confidence)
