"""Photographs to answers: what the service does, without HTTP. Every method may be called from many threads."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any, Literal, cast

import cv2
import numpy as np
import numpy.typing as npt

from marginface.errors import InputError, one_of
from marginface.images.detect import Detector, Which
from marginface.models import FaceModel
from marginface.models.face_embeddings import FaceEmbeddings
from marginface.quality import QUALITY
from marginface.recognition.aligned import MIN_EYE_DISTANCE
from marginface.recognition.face_records import face_quality
from marginface.recognition.verify import verify
from marginface.search.gallery import Gallery
from marginface.search.results import SearchResult
from marginface.serve import answers
from marginface.serve.batching import BatchedModel
from marginface.serve.looking import Looked, Looker, box_of
from marginface.serve.metrics import BATCHES, Metrics
from marginface.serve.refusals import Refused
from marginface.serve.settings import ServeSettings

One = Literal["largest", "central"]
USUAL_QUALITY = ("norm", "sharpness", "exposure", "contrast", "uniformity", "pose", "inter_eye_distance")


class Service:
    """A gallery, its model and a detector, for many callers at once."""

    def __init__(
        self, gallery: Gallery, model: FaceModel, detector: Detector, settings: ServeSettings | None = None
    ) -> None:
        """Start the model's thread.

        Args:
            gallery: opened with this model; whoever opened it closes it, after `close`.
            model: the gallery's; nobody else should use it now.
            detector: finds the faces.
            settings: the usual ones unless given.
        """
        self.settings = settings or ServeSettings()
        self.gallery = gallery
        self.metrics = Metrics()
        self.looker = Looker(detector, self.settings)
        self.model = BatchedModel(
            model,
            max_batch=self.settings.max_batch,
            max_wait_seconds=self.settings.max_wait_seconds,
            max_faces_waiting=self.settings.max_faces_waiting,
            timeout_seconds=self.settings.timeout_seconds,
            watch=lambda faces: self.metrics.observe("marginface_batch_faces", faces, BATCHES),
        )
        self._writing = threading.Lock()
        self.metrics.gauge("marginface_faces_waiting", lambda: self.model.num_waiting)
        self.metrics.gauge("marginface_people", lambda: len(self.gallery))

    def close(self) -> None:
        """Finish what was begun and end the model's thread."""
        self.model.close()

    def detect(self, files: Sequence[bytes], *, which: Which = "all") -> answers.Detected:
        """Return where faces are."""
        looked = self._look(files, which=which)
        return answers.Detected(photographs=looked.photographs, faces=[answers.Face(**face) for face in looked.faces()])

    def embed(
        self,
        files: Sequence[bytes],
        *,
        which: Which = "all",
        aligned: bool = False,
        flip: Literal["none", "sum"] | None = None,
    ) -> answers.Embedded:
        """Return embeddings, with the gallery's flip policy unless told otherwise."""
        looked = self._look(files, which=which, aligned=aligned)
        policy = flip or self.gallery.settings.flip
        embedded = self.model.embed(looked, flip=policy)
        faces = [
            answers.EmbeddedFace(**face, vector=vector, norm=norm)
            for face, vector, norm in zip(
                looked.faces(), embedded.vectors.tolist(), embedded.norms.tolist(), strict=True
            )
        ]
        return answers.Embedded(
            model=self.model.card.name,
            fingerprint=self.model.fingerprint,
            flip=policy,
            photographs=looked.photographs,
            faces=faces,
        )

    def quality(
        self, files: Sequence[bytes], *, which: Which = "all", methods: Sequence[str] = USUAL_QUALITY
    ) -> answers.Scored:
        """Return quality scores of faces."""
        unknown = [method for method in methods if method not in QUALITY]
        if unknown:
            raise InputError(f"there is no quality method {unknown[0]!r}{one_of(unknown[0], list(QUALITY))}.")
        looked = self._look(files, which=which)
        columns = {method: self._quality(method, looked) for method in dict.fromkeys(methods)}
        faces = [
            answers.ScoredFace(**face, quality={name: values[i] for name, values in columns.items()})
            for i, face in enumerate(looked.faces())
        ]
        return answers.Scored(photographs=looked.photographs, faces=faces)

    def verify(
        self, first: bytes, second: bytes, *, fmr: float | None = None, which: One = "largest"
    ) -> answers.Verified:
        """Return whether two photographs show one person."""
        with self.looker.place():
            pictures = [self.looker.decoded(file, name) for file, name in ((first, "first"), (second, "second"))]
            told = verify(
                *pictures,
                model=cast(FaceModel, self.model),  # of which `verify` uses the card and `embed`
                detector=self.looker.detector,
                fmr=fmr or self.settings.fmr,
                which=which,
            )
        self._count(2, sum(face is not None for face in told.faces))
        return answers.Verified(
            decision=told.decision,
            score=told.score,
            threshold=None if told.threshold is None else told.threshold.score,
            fmr=None if told.threshold is None else told.threshold.target_fmr,
            boxes=[None if face is None else box_of(face) for face in told.faces],
            faces_found=list(told.num_found),
            notes=list(told.notes),
        )

    def search(
        self,
        files: Sequence[bytes],
        *,
        which: Which = "all",
        aligned: bool = False,
        top_k: int = 1,
        fmr: float | None = None,
        fpir: float | None = None,
        threshold: float | None = None,
    ) -> answers.Found:
        """Return who of the gallery is on photographs.

        Raises:
            InputError: two of `fmr`, `fpir` and `threshold`, or one that the model's card cannot answer.
        """
        if fmr is None and fpir is None and threshold is None:
            threshold = self.settings.threshold
            fmr = self.settings.fmr if threshold is None and self.gallery.settings.thresholds else None
        decided = (fmr, fpir, threshold) != (None, None, None)
        looked = self._look(files, which=which, aligned=aligned)
        embedded = self.model.embed(looked, flip=self.gallery.settings.flip)
        found = (
            self.gallery.search(embedded, top_k=top_k, fmr=fmr, fpir=fpir, threshold=threshold if decided else 1.0)
            if len(embedded)
            else []
        )
        point = found[0].point.words() if found else "no face was found"
        qualities = self._gallery_quality(looked, embedded)
        return answers.Found(
            threshold=found[0].threshold if found and decided else None,
            point=point
            if decided
            else "the model's card has no threshold: nobody is named unless one is given by hand",
            quality=self.gallery.settings.quality,
            photographs=looked.photographs,
            faces=[
                answers.FoundFace(**face, **_named(result, face["eye_distance"], decided), quality=quality)
                for face, result, quality in zip(looked.faces(), found, qualities, strict=True)
            ],
        )

    def enrol(
        self,
        name: str,
        files: Sequence[bytes],
        *,
        which: One = "largest",
        replace: bool = False,
        allow_duplicate: bool = False,
    ) -> answers.Enrolled:
        """Add photographs of a person; when this returns they are on the disk.

        Raises:
            InputError: a name that cannot be used, no face good enough, or a face enrolled under another name.
        """
        looked = self._look(files, which=which)
        if not looked.owners:
            raise InputError("nobody was enrolled: no face was found on any photograph.")
        embedded = self.model.embed(looked, flip=self.gallery.settings.flip)
        qualities = self._gallery_quality(looked, embedded)
        if self.gallery.settings.quality != "norm" and None in qualities:
            raise InputError(f"nobody was enrolled: a face has no value of {self.gallery.settings.quality!r}.")
        with self._writing:
            done = self.gallery.enrol(
                name,
                embedded,
                qualities=None if self.gallery.settings.quality == "norm" else cast(list[float], qualities),
                crops=[_png(crop) for crop in looked.crops] if self.gallery.settings.policy.keep_crops else None,
                replace=replace,
                allow_duplicate=allow_duplicate,
            )
        nobody = sorted(set(range(len(files))) - set(looked.owners))
        left_out = [answers.LeftOut(photograph=position, why="no face was found") for position in nobody]
        left_out += [
            answers.LeftOut(photograph=looked.owners[row], why="below the minimum quality") for row in done.too_poor
        ]
        return answers.Enrolled(
            person_id=done.person_id,
            name=done.name,
            images_added=done.num_images,
            images_in_all=done.images_in_all,
            left_out=left_out,
        )

    def people(self, *, offset: int = 0, limit: int = 100) -> answers.People:
        """Return who is enrolled, by name."""
        everybody = self.gallery.people()
        return answers.People(
            total=len(everybody),
            people=[
                answers.EnrolledPerson(person_id=person.person_id, name=person.name, images=person.num_images)
                for person in everybody[offset : offset + limit]
            ],
        )

    def remove(self, person_id: str) -> answers.Removed:
        """Erase somebody everywhere.

        Raises:
            Refused: 404, nobody has this id.
        """
        with self._writing:
            name = next((p.name for p in self.gallery.people() if p.person_id == person_id), None)
            if name is None:
                raise Refused(404, "nobody here has this id; GET /v1/people lists who is enrolled.")
            (removal,) = self.gallery.remove(name)
        return answers.Removed(person_id=removal.person_id, images=removal.num_images, audit_entry=removal.sequence)

    def _look(self, files: Sequence[bytes], *, which: Which, aligned: bool = False) -> Looked:
        looked = self.looker.look(files, which=which, aligned=aligned)
        self._count(len(files), len(looked.owners))
        return looked

    def _count(self, num_photographs: int, num_faces: int) -> None:
        self.metrics.count("marginface_photographs_total", num_photographs)
        self.metrics.count("marginface_faces_total", num_faces)

    def _quality(self, method: str, looked: Looked) -> list[float | None]:
        """Return scores of photographed faces; those of models and of many pixels take the model's thread."""
        assert looked.aligned is not None  # crops are not offered where this is called
        faces = looked.aligned
        if not len(faces):
            return []
        scores = self.model.run(lambda: face_quality(method, faces, self.model.model))
        return [value if math.isfinite(value) else None for value in scores.tolist()]

    def _gallery_quality(self, looked: Looked, embedded: FaceEmbeddings) -> list[float | None]:
        method = self.gallery.settings.quality
        if method == "norm":
            return [float(norm) for norm in embedded.norms]
        return [None] * len(embedded) if looked.aligned is None else self._quality(method, looked)


def _named(result: SearchResult, eye_distance: float | None, decided: bool) -> dict[str, Any]:
    """Return the fields of `answers.FoundFace` that say who it is."""
    too_small = eye_distance is not None and eye_distance < MIN_EYE_DISTANCE
    answer = (
        "not decided" if not decided else "cannot tell" if too_small else "unknown" if result.name is None else "known"
    )
    return {
        "answer": answer,
        "name": result.name if answer == "known" else None,
        "score": result.score if math.isfinite(result.score) else None,
        "candidates": [answers.Candidate(rank=one.rank, name=one.name, score=one.score) for one in result.candidates],
    }


def _png(crop: npt.NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".png", crop[..., ::-1])[1])
