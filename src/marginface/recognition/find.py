"""Two folders, of people one knows and of photographs: who is on them.

    known/Ada.jpg, known/Ada_2.jpg or known/Ada/any.jpg        (a name is a folder's, else a file's without its number)

Each known person becomes one template: the mean of the unit embeddings of their photographs. Each face is compared with
every template; the best one names it when its score reaches the threshold. A threshold's false match rate is that of
one comparison: among N known people a stranger may be given a name in up to N times as many cases, and `Findings` says
so. For people to be kept rather than looked at anew there is `marginface.search`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.images.detect import DetectedFace, Detector, Which
from marginface.models import FaceModel, Threshold
from marginface.models.face_embeddings import FaceEmbeddings
from marginface.models.threshold import decide
from marginface.recognition.aligned import MIN_EYE_DISTANCE, AlignedFaces, Missed, detect_and_align
from marginface.recognition.defaults import open_model
from marginface.recognition.face_records import face_quality
from marginface.recognition.operating_point import HOW_TO_CALIBRATE, about, threshold_at
from marginface.recognition.photographs import as_photographs, photographs_in
from marginface.recognition.verify import flip_of

Answer = Literal["known", "unknown", "cannot tell", "not decided", "no face", "cannot be read"]
COLUMNS = (
    *("file", "left", "top", "width", "height", "name", "answer"),
    *("nearest", "score", "quality", "eye_distance", "confidence", "note"),
)
Show = Callable[[str, int, int], None]
"""Called with (what is being done, photographs done, photographs in all)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Finding:
    """One face; or one photograph that gave none."""

    photograph: str
    answer: Answer
    """"not decided" where the model's card has no threshold."""
    nearest: str | None = None
    """The known person with the best score, whatever the answer; it is a name only where the answer is "known"."""
    score: float | None = None
    """Cosine similarity with that person's template, -1..1."""
    quality: float | None = None
    """Higher is better, by the method that was asked for."""
    face: DetectedFace | None = None
    note: str = ""

    @property
    def name(self) -> str:
        """The person's name, or the answer in words."""
        return self.nearest or "" if self.answer == "known" else self.answer

    def row(self) -> dict[str, Any]:
        """Return {column: value} of `COLUMNS`; what there is not is None."""
        face = self.face
        box = face.box.round(1).tolist() if face is not None else [None] * 4
        values = (
            self.photograph,
            *box,
            self.name,
            self.answer,
            self.nearest,
            None if self.score is None else round(self.score, 4),
            None if self.quality is None else round(self.quality, 3),
            None if face is None else round(face.eye_distance, 1),
            None if face is None else round(face.confidence, 3),
            self.note,
        )
        return dict(zip(COLUMNS, values, strict=True))

    def words(self) -> list[str]:
        """Return file, box, name or answer, score and quality as a person reads them."""
        photograph = " ".join(self.photograph.split())  # a name may hold a tab or the end of a line
        if self.face is None:
            return [photograph, "", self.name, "", ""]
        left, top, width, height = self.face.box.round().astype(int).tolist()
        return [
            photograph,
            f"{width}x{height}{left:+d}{top:+d}",
            self.name if self.answer != "not decided" else f"{self.nearest}?",
            f"{self.score:.3f}",
            f"{self.quality:.2f}",
        ]


@dataclass(frozen=True, eq=False, kw_only=True)
class Findings:
    """All faces of the photographs, in their order, and what was behind the answers."""

    findings: tuple[Finding, ...]
    people: Mapping[str, int]
    """{known person: photographs that their template is made of}."""
    not_enrolled: tuple[Missed, ...]
    """Known photographs that no template is made of, and why: failures to enrol."""
    several_in_known: tuple[str, ...]
    """Known photographs with several faces, of which one was taken for the person."""
    threshold: Threshold | None

    @property
    def counts(self) -> Mapping[str, int]:
        """{answer: how often}."""
        return Counter(finding.answer for finding in self.findings)

    def notes(self) -> tuple[str, ...]:
        """Return what a person should know with the answers, a sentence each."""
        notes = [f"known: {missed.name}: {missed.reason} {missed.detail}".rstrip() for missed in self.not_enrolled]
        if self.several_in_known:
            several = f"{len(self.several_in_known)} known photographs show several faces"
            notes.append(f"{several}, such as {self.several_in_known[0]}; one of them was taken for the person")
        if self.threshold is None:
            return (*notes, HOW_TO_CALIBRATE)
        bound = min(1.0, self.threshold.target_fmr * len(self.people))
        return (
            *notes,
            about(self.threshold),
            f"with {len(self.people)} people known, a stranger's face is given a name in up to {bound:.2g} of the cases"
            " (the rate of one comparison times the people)",
        )


def find(
    known: str | Path,
    photographs: Any,
    *,
    model: FaceModel | None = None,
    detector: Detector | None = None,
    fmr: float = 1e-3,
    which: Which = "all",
    known_face: Literal["largest", "central"] = "largest",
    quality: str = "norm",
    min_quality: float | None = None,
    min_eye_distance: float = MIN_EYE_DISTANCE,
    workers: int = 2,
    progress: Show | None = None,
) -> Findings:
    """Return who is on the photographs: a line for each face, and for each photograph that shows none.

    Args:
        known: a folder, see the top of this file.
        photographs: a folder, a picture, or a list of pictures.
        model: its card has the thresholds; `open_model()` unless given.
        detector: finds the faces; YuNet unless given.
        fmr: false match rate of one comparison that the answers may have, 0..1.
        which: of several faces in a photograph, "all", the "largest" or the "central" one.
        known_face: of several faces in a known photograph, which one is the person.
        quality: a method of `marginface.quality.QUALITY`; "norm" says most of models whose margin follows the norm.
        min_quality: faces below it are answered with "cannot tell".
        min_eye_distance: so are faces with fewer pixels between the eyes, and no known person is made of them.
        workers: threads that decode and detect.
        progress: called after every photograph.

    Raises:
        InputError: an empty folder, no face of anyone known, or no threshold as strict as `fmr`.
    """
    model = model if model is not None else open_model()
    threshold = threshold_at(model.card, fmr)
    flip = flip_of(threshold)

    def look(pictures: Any, which: Which, what: str) -> tuple[AlignedFaces, FaceEmbeddings]:
        shown = (lambda done, total: progress(what, done, total)) if progress is not None else None
        faces = detect_and_align(pictures, detector=detector, which=which, workers=workers, progress=shown)
        return faces, model.embed(faces, flip=flip)

    def too_poor(face: DetectedFace, how_good: float) -> str:
        if face.eye_distance < min_eye_distance:
            return f"{face.eye_distance:.0f} pixels between the eyes, fewer than {min_eye_distance:g}"
        return f"quality below {min_quality:g}" if min_quality is not None and how_good < min_quality else ""

    known_faces, known_embeddings = look(photographs_in(known), known_face, "known")
    enrolled = np.flatnonzero(known_faces.eye_distances >= min_eye_distance)
    if not len(enrolled):
        raise InputError(
            f"{known}: there is no face to know anybody by in its {known_faces.num_photographs} photographs."
        )
    names = [person_of(known_faces.photographs[i]) for i in enrolled]
    people, templates = pooled(names, known_embeddings.unit[enrolled])
    faces, embeddings = look(as_photographs(photographs), which, "photographs")
    qualities = face_quality(quality, faces, model)
    scores = np.clip(embeddings.unit @ templates.T, -1.0, 1.0)  # (faces, people)
    found = {
        key: _answer(face, photograph, row, people, float(how_good), threshold, too_poor(face, float(how_good)))
        for key, face, photograph, row, how_good in zip(
            faces.keys, faces.faces, faces.photographs, scores, qualities, strict=True
        )
    }
    return Findings(
        findings=tuple(_in_order(faces, found)),
        people=dict(sorted(Counter(names).items())),
        not_enrolled=(*known_faces.missed, *_too_small(known_faces, min_eye_distance)),
        several_in_known=tuple(name for name, count in known_faces.num_found.items() if count > 1),
        threshold=threshold,
    )


def person_of(photograph: str) -> str:
    """Return whom a known photograph shows: its first folder, else its file's name without suffix and number.

    `Ada Lovelace/at work/3.jpg`, `Ada Lovelace.jpg`, `Ada Lovelace_2.jpg` and `Ada Lovelace (2).jpg` are one person.
    """
    folder, slash, _ = photograph.partition("/")
    if slash:
        return folder
    stem = Path(photograph).stem
    return re.sub(r"([ _-]+\d+|\s*\(\d+\))$", "", stem) or stem


def pooled(names: Sequence[str], units: npt.NDArray[np.float32]) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
    """Return the people (P), sorted, and their templates (P, D): means of unit embeddings, of length 1 again.

    Args:
        names: (N,) whose each embedding is.
        units: (N, D) of length 1.
    """
    people = tuple(sorted(set(names)))
    position = {name: i for i, name in enumerate(people)}
    sums = np.zeros((len(people), units.shape[1]), dtype=np.float64)
    np.add.at(sums, [position[name] for name in names], units)
    lengths = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return people, (sums / lengths).astype(np.float32)


def _answer(
    face: DetectedFace,
    photograph: str,
    scores: npt.NDArray[np.float32],
    people: Sequence[str],
    quality: float,
    threshold: Threshold | None,
    too_poor: str,
) -> Finding:
    best = int(scores.argmax())
    score = float(scores[best])
    answer: Answer
    if too_poor:
        answer = "cannot tell"
    elif threshold is None:
        answer = "not decided"
    else:
        answer = _ANSWERS[decide(score, threshold)]
    return Finding(
        photograph=photograph,
        answer=answer,
        nearest=people[best],
        score=score,
        quality=quality,
        face=face,
        note=too_poor,
    )


_NO_FACE: Mapping[str, Answer] = {"no face": "no face", "cannot be read": "cannot be read"}


def _too_small(known: AlignedFaces, min_eye_distance: float) -> list[Missed]:
    return [
        Missed(name=name, reason="too small", detail=f"({face.eye_distance:.0f} pixels between the eyes)")
        for name, face in zip(known.photographs, known.faces, strict=True)
        if face.eye_distance < min_eye_distance
    ]


_ANSWERS: Mapping[str, Answer] = {"same": "known", "different": "unknown", "cannot tell": "cannot tell"}


def _in_order(faces: AlignedFaces, found: Mapping[str, Finding]) -> list[Finding]:
    """Return the findings by photograph, with a line for each photograph that shows nobody."""
    missed = {one.name: one for one in faces.missed}
    by_photograph: dict[str, list[Finding]] = {name: [] for name in faces.num_found}
    for finding in found.values():
        by_photograph[finding.photograph].append(finding)
    return [
        finding
        for name, there in by_photograph.items()
        for finding in there
        or [Finding(photograph=name, answer=_NO_FACE[missed[name].reason], note=missed[name].detail)]
    ]
