"""`cluster`: the people of an album as folders of faces, which a person then renames and sorts by hand.

    DIR/person-001/IMG_7-3f2a90c1.jpg     the largest group; the file's name ends with what the face is known by
    DIR/Ada/...                           a folder that somebody renamed: its faces stay, new ones of Ada join them
    DIR/unsorted/...                      groups with fewer faces than asked for
    DIR/album.csv                         a line for each face; the record of where each was put

What a person did since the last run counts: a folder with a name of its own, a face that was moved to another folder,
and a face that was deleted are all left as they are.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.images.decode import decode_image
from marginface.images.detect import DetectedFace, Detector
from marginface.models import FaceModel
from marginface.recognition.album_files import (
    AUTOMATIC,
    COLUMNS,
    REMOVED,
    UNSORTED,
    AlbumFiles,
    NewPlace,
    refuse_other_folder,
    write_album,
)
from marginface.recognition.aligned import MIN_EYE_DISTANCE, detect_and_align
from marginface.recognition.cluster import cluster
from marginface.recognition.operating_point import HOW_TO_CALIBRATE, threshold_at
from marginface.recognition.photographs import photographs_in
from marginface.recognition.verify import flip_of

Show = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Album:
    """What became of the photographs."""

    folder: Path
    people: Mapping[str, int]
    """{folder: faces}, without "unsorted"."""
    num_unsorted: int
    num_by_hand: int
    """Faces that stay where a person put them."""
    num_removed: int
    """Faces that a person deleted; they are not shown again."""
    num_photographs: int
    missed: Mapping[str, int]
    """{reason: photographs without a face}."""
    threshold: float


def cluster_album(
    photographs: str | Path,
    out: str | Path,
    *,
    model: FaceModel,
    detector: Detector | None = None,
    fmr: float = 1e-3,
    score: float | None = None,
    min_faces: int = 2,
    min_eye_distance: float = MIN_EYE_DISTANCE,
    workers: int = 2,
    progress: Show | None = None,
) -> Album:
    """Sort the faces of an album into a folder for each person, and keep what was sorted by hand before.

    Args:
        photographs: a folder.
        out: the folder of faces; made, or brought up to date.
        model: its card has the thresholds.
        detector: finds the faces; YuNet unless given.
        fmr: two groups are one person from the score on that has this false match rate.
        score: that score itself, -1..1, in place of the card's.
        min_faces: smaller groups go to `unsorted`.
        min_eye_distance: so do faces with fewer pixels between the eyes, which are compared with nobody.
        workers: threads that decode and detect.
        progress: called after every photograph.

    Raises:
        InputError: no photograph or face, no threshold, or an `out` that is no album.
        WorkError: the disk refused; the next run goes on from what is there.
    """
    out = Path(out)
    refuse_other_folder(out)
    threshold = threshold_at(model.card, fmr)
    if score is None and threshold is None:
        raise InputError(f"{HOW_TO_CALIBRATE}; or give a score to cluster at.")
    least = score if score is not None else threshold.score if threshold is not None else 1.0
    flip = flip_of(threshold)
    faces = detect_and_align(
        photographs_in(photographs),
        detector=detector,
        workers=workers,
        progress=None if progress is None else (lambda done, total: progress("photographs", done, total)),
    )
    keys = [face_key(name, face) for name, face in zip(faces.photographs, faces.faces, strict=True)]
    before = AlbumFiles.read(out)
    kept = [i for i, key in enumerate(keys) if key not in before.removed]
    named = {n: before.by_hand[keys[i]] for n, i in enumerate(kept) if keys[i] in before.by_hand}
    old = [key for key in before.by_hand if key not in set(keys)]  # of photographs that are not looked at this time
    units = np.concatenate([model.embed(faces, flip=flip).unit[kept], _embedded(model, flip, before, old)])
    for n, i in enumerate(kept):
        if faces.faces[i].eye_distance < min_eye_distance and n not in named:
            units[n] = 0.0  # a score of 0 with everybody
    named |= {len(kept) + n: before.by_hand[key] for n, key in enumerate(old)}
    if not len(units):
        raise InputError(f"{photographs}: there is no face in any of its {faces.num_photographs} photographs.")
    shown = [faces.photographs[i] for i in kept] + [f"{key}, not looked at" for key in old]
    group, names = cluster(units, least, photographs=shown, named=named)
    folders = _folders(group, names, [keys[i] for i in kept] + old, before, min_faces)
    rows = [
        _row(
            keys[i], faces.photographs[i], faces.faces[i], folders[n], keys[i] in before.by_hand, _mean(units, group, n)
        )
        for n, i in enumerate(kept)
    ]
    rows += [before.rows[key] | {"person": before.by_hand[key], "by_hand": True} for key in old if key in before.rows]
    rows += [before.rows[key] | {"person": REMOVED} for key in sorted(before.removed)]
    write_album(
        out,
        rows,
        {keys[i]: NewPlace(folders[n], faces.photographs[i], faces.crops[i]) for n, i in enumerate(kept)},
        before,
    )
    people = Counter(row["person"] for row in rows)
    return Album(
        folder=out,
        people={name: count for name, count in sorted(people.items()) if name not in (UNSORTED, REMOVED)},
        num_unsorted=people[UNSORTED],
        num_by_hand=sum(bool(row["by_hand"]) for row in rows if row["person"] != REMOVED),
        num_removed=people[REMOVED],
        num_photographs=faces.num_photographs,
        missed=dict(Counter(missed.reason for missed in faces.missed)),
        threshold=least,
    )


def face_key(photograph: str, face: DetectedFace) -> str:
    """Return 12 hex digits by which a face is known again: of its photograph's name and its box in whole pixels."""
    box = ",".join(str(round(value)) for value in face.box.tolist())
    return hashlib.sha256(f"{photograph}\n{box}".encode()).hexdigest()[:12]


def _embedded(model: FaceModel, flip: Any, before: AlbumFiles, keys: list[str]) -> npt.NDArray[np.float32]:
    """Return the unit embeddings of faces that are only left as files in the album."""
    crops = [decode_image(before.places[key].read_bytes(), name=str(before.places[key])) for key in keys]
    if not crops:
        return np.empty((0, model.embedding_dim), np.float32)
    return model.embed(_Crops(np.stack(crops)), flip=flip).unit


@dataclass(frozen=True, eq=False)
class _Crops:
    crops: npt.NDArray[np.uint8]


def _folders(
    group: npt.NDArray[np.int64], names: Mapping[int, str], keys: list[str], before: AlbumFiles, min_faces: int
) -> list[str]:
    """Return the folder of each face: a name given by hand, the number that most of the group had, or a new number."""
    numbers = [int(m[1]) for m in map(AUTOMATIC.fullmatch, {str(r["person"]) for r in before.rows.values()}) if m]
    following = max(numbers, default=0) + 1
    taken = set(names.values())
    folder_of = dict(names)
    for g in range(int(group.max()) + 1):
        members = [keys[i] for i in np.flatnonzero(group == g)]
        if g in folder_of:
            continue
        if len(members) < min_faces:
            folder_of[g] = UNSORTED
            continue
        had = Counter(before.places[key].parent.name for key in members if key in before.places)
        known = [name for name, _ in sorted(had.items(), key=lambda item: (-item[1], item[0]))]
        again = next((name for name in known if AUTOMATIC.fullmatch(name) and name not in taken), None)
        if again is None:
            again, following = f"person-{following:03d}", following + 1
        folder_of[g] = again
        taken.add(again)
    return [folder_of[int(g)] for g in group]


def _mean(units: npt.NDArray[np.float32], group: npt.NDArray[np.int64], face: int) -> float | None:
    """Return the mean score of a face with the others of its group."""
    others = np.flatnonzero(group == group[face])
    others = others[others != face]
    return float((units[others] @ units[face]).mean()) if len(others) else None


def _row(
    key: str, photograph: str, face: DetectedFace, person: str, by_hand: bool, score: float | None
) -> dict[str, Any]:
    shown = "" if score is None else round(score, 4)
    return dict(zip(COLUMNS, (key, photograph, *face.box.round(1).tolist(), person, by_hand, shown), strict=True))
