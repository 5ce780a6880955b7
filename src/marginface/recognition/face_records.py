"""Faces that were found -> what quality, evaluation and search speak: records, quality scores, an embedding table."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError, one_of
from marginface.images.align import similarity_transform
from marginface.images.detect import DetectedFace
from marginface.models import FaceModel
from marginface.models.face_embeddings import FaceEmbeddings
from marginface.quality import QUALITY, QualityBatch
from marginface.recognition.aligned import AlignedFaces
from marginface.records.embedding_table import EmbeddingTable
from marginface.records.record import Record

UNSORTED = "unsorted"
"""The identity of photographs that lie in no person's folder."""

_FACES_A_BATCH = 64


def in_crop(face: DetectedFace, size: int) -> npt.NDArray[np.float32]:
    """Return where the landmarks of a face are in its aligned crop: (5, 2) pixels."""
    matrix = similarity_transform(face.landmarks, size)
    return np.asarray(face.landmarks @ matrix[:, :2].T + matrix[:, 2], dtype=np.float32)


def meta_of(photograph: str, face: DetectedFace) -> dict[str, Any]:
    """Return what a record of a face knows of its photograph; quality methods read it."""
    return {
        "photograph": photograph,
        "detector_score": round(face.confidence, 4),
        "photograph_landmarks": face.landmarks.round(2).tolist(),
    }


def face_quality(method: str, faces: AlignedFaces, model: FaceModel) -> npt.NDArray[np.float64]:
    """Return (N,) quality scores of faces, higher is better, by a method of `marginface.quality.QUALITY`.

    Raises:
        InputError: there is no such method.
    """
    if method not in QUALITY:
        raise InputError(f"there is no quality method {method!r}{one_of(method, list(QUALITY))}.")
    records = [
        Record(key=key, image=crop, label=0, landmarks=in_crop(face, len(crop)), meta=meta_of(photograph, face))
        for key, crop, face, photograph in zip(faces.keys, faces.crops, faces.faces, faces.photographs, strict=True)
    ]
    scores = [np.empty(0)]
    for start in range(0, len(records), _FACES_A_BATCH):
        part = slice(start, start + _FACES_A_BATCH)
        batch = QualityBatch(records=records[part], images=list(faces.crops[part]), model=model)
        scores.append(QUALITY[method].compute(batch))
    return np.concatenate(scores)


def table_of(faces: AlignedFaces, embeddings: FaceEmbeddings, *, source: str) -> EmbeddingTable:
    """Return the faces as an embedding table.

    The identity of a face is the first folder of its photograph's name. Columns: `detector_score`, `eye_distance`, and
    `media`, the photograph. `meta` names the photographs without a face: they are failures to acquire, not less data.

    Args:
        faces: what was found.
        embeddings: of these faces, in their order.
        source: where the photographs are, as a person would type it.
    """
    names = [name.partition("/")[0] if "/" in name else UNSORTED for name in faces.photographs]
    identities = tuple(sorted(set(names)))
    label_of = {name: label for label, name in enumerate(identities)}
    return EmbeddingTable(
        vectors=embeddings.vectors,
        norms=embeddings.norms,
        keys=faces.keys,
        labels=np.array([label_of[name] for name in names], dtype=np.int64),
        identities=identities,
        fingerprint=embeddings.fingerprint,
        meta={
            "source": source,
            "flip": embeddings.flip,
            "photographs": faces.num_photographs,
            "missed": {missed.name: missed.reason for missed in faces.missed},
        },
        columns={
            "detector_score": faces.confidences,
            "eye_distance": faces.eye_distances,
            "media": np.array(faces.photographs, dtype=np.str_),
        },
    )
