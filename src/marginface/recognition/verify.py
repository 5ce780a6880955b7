"""Two photographs: the same person, different ones, or no answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from marginface.errors import InputError
from marginface.images.detect import DetectedFace, Detector
from marginface.models import FaceModel, Threshold
from marginface.models.threshold import Decision, decide
from marginface.recognition.aligned import MIN_EYE_DISTANCE, AlignedFaces, detect_and_align
from marginface.recognition.defaults import open_model
from marginface.recognition.operating_point import HOW_TO_CALIBRATE, about, threshold_at


@dataclass(frozen=True, eq=False, kw_only=True)
class Verification:
    """What two photographs say."""

    decision: Decision | None
    """None where the model's card has no threshold: then there is a score and no answer."""
    score: float | None
    """Cosine similarity, -1..1; None where a photograph shows no face."""
    threshold: Threshold | None
    faces: tuple[DetectedFace | None, DetectedFace | None]
    """The two that were compared."""
    num_found: tuple[int, int]
    """Faces in each photograph."""
    notes: tuple[str, ...]
    """What a person should know with the answer, a sentence each."""

    def row(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        threshold = self.threshold
        return {
            "decision": self.decision,
            "score": self.score,
            "threshold": None if threshold is None else threshold.score,
            "reject_below": None if threshold is None else threshold.reject_below,
            "fmr": None if threshold is None else threshold.target_fmr,
            "achieved_fmr": None if threshold is None else threshold.achieved_fmr,
            "calibrated_on": None if threshold is None else threshold.data,
            "faces_found": list(self.num_found),
            "boxes": [None if face is None else face.box.round(1).tolist() for face in self.faces],
            "notes": list(self.notes),
        }


def verify(
    first: Any,
    second: Any,
    *,
    model: FaceModel | None = None,
    detector: Detector | None = None,
    fmr: float = 1e-3,
    which: Literal["largest", "central"] = "largest",
    min_eye_distance: float = MIN_EYE_DISTANCE,
) -> Verification:
    """Return whether two pictures show one person.

    A picture without a face is answered with "cannot tell"; of several faces one is compared, and a note says so.

    Args:
        first: a path, the bytes of a file, an (H, W, 3) uint8 RGB array or a PIL image.
        second: the same.
        model: its card has the thresholds; `open_model()` unless given.
        detector: finds the faces; YuNet unless given.
        fmr: false match rate of a comparison that the answer may have, 0..1.
        which: of several faces, the "largest" or the "central" one.
        min_eye_distance: with fewer pixels between the eyes the answer is "cannot tell", whatever the score.

    Raises:
        BrokenImageError: a picture cannot be read.
        InputError: the card has no threshold as strict as `fmr`.
    """
    model = model if model is not None else open_model()
    threshold = threshold_at(model.card, fmr)
    flip = flip_of(threshold)
    pictures = [detect_and_align(picture, detector=detector, which=which, workers=1) for picture in (first, second)]
    found = (_num_found(pictures[0]), _num_found(pictures[1]))
    notes = [
        note for name, count in zip(("first", "second"), found, strict=True) for note in _notes(name, count, which)
    ]
    compared = (_only(pictures[0]), _only(pictures[1]))
    small = [face for face in compared if face is not None and face.eye_distance < min_eye_distance]
    notes += [
        f"a face has {f.eye_distance:.0f} pixels between the eyes, fewer than {min_eye_distance:g}" for f in small
    ]
    if 0 in found:
        return Verification(
            decision="cannot tell", score=None, threshold=threshold, faces=compared, num_found=found, notes=tuple(notes)
        )
    units = [model.embed(faces, flip=flip).unit[0] for faces in pictures]
    score = float(np.clip(units[0] @ units[1], -1.0, 1.0))
    return Verification(
        decision=None if threshold is None else "cannot tell" if small else decide(score, threshold),
        score=score,
        threshold=threshold,
        faces=compared,
        num_found=found,
        notes=(*notes, HOW_TO_CALIBRATE if threshold is None else about(threshold)),
    )


def flip_of(threshold: Threshold | None) -> Literal["none", "sum"]:
    """Return the flip policy that a threshold was measured with, the usual one without a threshold.

    Raises:
        InputError: the card names a policy that does not exist.
    """
    flip = threshold.flip if threshold is not None else "sum"
    if flip not in ("none", "sum"):
        raise InputError(f"the card's threshold was measured with the flip policy {flip!r}; it is 'none' or 'sum'.")
    return "sum" if flip == "sum" else "none"


def _num_found(faces: AlignedFaces) -> int:
    return sum(faces.num_found.values())


def _only(faces: AlignedFaces) -> DetectedFace | None:
    return faces.faces[0] if len(faces) else None


def _notes(name: str, count: int, which: str) -> list[str]:
    if count == 0:
        return [f"there is no face in the {name} photograph"]
    return [f"there are {count} faces in the {name} photograph; the {which} one was compared"] if count > 1 else []
