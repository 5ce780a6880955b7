"""A folder of photographs -> records of aligned faces, with a log of every photograph and face that is not among them.

    DIR/<person>/<photograph>     the first folder is the identity; photographs directly in DIR are of "unsorted"

Beside the records lie `NAME.faces.csv` (where each face was, and its landmarks in the crop) and `NAME.rejects.csv`
(every photograph or face left out, and why). Formats that hold landmarks hold them too.

What was seen is kept in a hidden folder `.NAME.faces` until the records are whole, so that the same call goes on after
an interruption.
"""

from __future__ import annotations

import json
import os
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError, one_of
from marginface.images.degrade import encode_jpeg
from marginface.images.detect import DetectedFace, Detector, Which
from marginface.recognition.aligned import CROP_SIZE, Progress, Seen, look
from marginface.recognition.face_records import UNSORTED, in_crop, meta_of
from marginface.recognition.photographs import Photograph, photographs_in
from marginface.recognition.rows import write_rows
from marginface.records.file_at import FileAt
from marginface.records.record import Record
from marginface.records.unfinished import Unfinished, workshop
from marginface.records.write import WRITERS
from marginface.records.write_aside import refuse_existing

Rejection = Literal["no face", "cannot be read", "too small", "not chosen"]
REJECT_COLUMNS = ("file", "reason", "detail")
FACE_COLUMNS = (
    *("key", "file", "left", "top", "width", "height", "confidence", "eye_distance"),
    *(f"{axis}{i}" for i in range(1, 6) for axis in "xy"),
)


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """What became of a folder of photographs."""

    out: str
    """The records, as `open_records` takes them."""
    faces: Path
    rejects: Path
    num_photographs: int
    num_faces: int
    num_identities: int
    rejected: Mapping[str, int]
    """{reason: how many}; "not chosen" and "too small" count faces, the others photographs."""
    photographs_without: int
    """Photographs of which no face is among the records."""


def align_folder(
    folder: str | Path,
    out: str,
    *,
    detector: Detector,
    which: Which = "largest",
    size: int = CROP_SIZE,
    min_eye_distance: float = 0.0,
    workers: int = 2,
    progress: Progress | None = None,
) -> Alignment:
    """Find and align the faces of all photographs below a folder, and write them as records.

    Args:
        folder: of photographs, see the top of this file.
        out: `tar:faces.tar`, `folder:faces` or another scheme that can be written; it must not exist.
        detector: finds the faces.
        which: of several faces in a photograph, the "largest", the "central" one or "all".
        size: side of the crops, pixels.
        min_eye_distance: faces with fewer pixels between the eyes are left out.
        workers: threads that decode and detect; the files do not depend on it.
        progress: called after every photograph.

    Raises:
        InputError: no photograph, no face at all, or an `out` that exists or cannot be written.
        WorkError: the disk refused.
    """
    scheme, _, path = out.partition(":")
    if scheme not in WRITERS or not path:
        raise InputError(f"{out}: write for example tar:faces.tar{one_of(scheme, list(WRITERS))}.")
    target = Path(path).expanduser()
    refuse_existing(target)
    photographs = photographs_in(folder)
    faces_log, rejects_log = (target.with_name(f"{target.name}.{what}.csv") for what in ("faces", "rejects"))
    job = _job(folder, photographs, detector, which=which, size=size)
    with workshop(target, job, kind="faces") as work:
        crops, notes = work.folder / "crops", work.folder / "notes.jsonl"
        _look_at_all(
            work, crops, notes, photographs, progress, detector=detector, which=which, size=size, workers=workers
        )
        records, rejects = _settled(crops, notes, folder, size=size, min_eye_distance=min_eye_distance)
        if len(records):
            write_rows(faces_log, [_row(entry) for entry in records.entries], columns=FACE_COLUMNS)
            write_rows(rejects_log, rejects, columns=REJECT_COLUMNS)
            WRITERS[scheme](records, target, lambda done, total: None)
    if not len(records):
        raise InputError(f"{folder}: there is no face in any of its {len(photographs)} photographs.")
    with_a_face = {entry.photograph for entry in records.entries}
    return Alignment(
        out=out,
        faces=faces_log,
        rejects=rejects_log,
        num_photographs=len(photographs),
        num_faces=len(records),
        num_identities=len(records.identities),
        rejected=dict(Counter(row["reason"] for row in rejects)),
        photographs_without=len(photographs) - len(with_a_face),
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class Entry:
    """One face among the records."""

    key: str
    photograph: str
    face: DetectedFace
    landmarks: npt.NDArray[np.float32]
    """(5, 2) pixels of the crop."""
    start: int
    """Of its bytes in the spool."""
    num_bytes: int


class SpooledFaces:
    """A `RecordSource` of encoded crops that lie in one file: memory stays flat however many there are."""

    def __init__(self, spool: Path, *, location: str, size: int) -> None:
        self._spool, self._size = FileAt(spool, where=str(spool)), size
        self.location = location
        self.entries: list[Entry] = []
        self._taken: set[str] = set()
        self.keys: Sequence[str] = ()
        self.identities: tuple[str, ...] = ()
        self.labels: npt.NDArray[np.int64] = np.empty(0, np.int64)

    def add(self, photograph: str, face: DetectedFace, start: int, num_bytes: int) -> None:
        """Take one face, whose crop lies there in the file."""
        self.entries.append(
            Entry(
                key=self._new_key(photograph),
                photograph=photograph,
                face=face,
                landmarks=in_crop(face, self._size),
                start=start,
                num_bytes=num_bytes,
            )
        )

    def settle(self) -> None:
        """Number the identities; called once, when every face is there."""
        self.entries.sort(key=lambda entry: entry.key)
        identity_of = [entry.key.partition("/")[0] for entry in self.entries]
        self.keys = tuple(entry.key for entry in self.entries)
        self.identities = tuple(sorted(set(identity_of)))
        label_of = {name: label for label, name in enumerate(self.identities)}
        self.labels = np.array([label_of[name] for name in identity_of], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Record:
        entry, label = self.entries[index], int(self.labels[index])
        return Record(
            key=entry.key,
            image=self._spool.read(entry.start, entry.num_bytes, entry.key),
            label=label,
            identity=self.identities[label],
            landmarks=entry.landmarks,
            meta=meta_of(entry.photograph, entry.face),
        )

    def _new_key(self, photograph: str) -> str:
        """Return `<person>/<photograph without suffix>.jpg`, numbered where that is taken (several faces, a.png)."""
        path = PurePosixPath(photograph if "/" in photograph else f"{UNSORTED}/{photograph}")
        stem = str(path.with_suffix(""))
        names: Iterator[str] = (f"{stem}.jpg" if i == 1 else f"{stem}-{i}.jpg" for i in range(1, len(self._taken) + 2))
        key = next(name for name in names if name not in self._taken)
        self._taken.add(key)
        return key


def _job(folder: str | Path, photographs: Sequence[Photograph], detector: Detector, **settings: Any) -> dict[str, Any]:
    """Return what tells this look at photographs from another: their names, sizes and times, and who looks how."""
    crc = 0
    for photograph in photographs:
        status = os.stat(photograph.picture)
        crc = zlib.crc32(f"{photograph.name}\0{status.st_size} {status.st_mtime_ns}\n".encode(errors="replace"), crc)
    about = {name: str(value) for name, value in getattr(detector, "__dict__", {}).items() if not name.startswith("_")}
    return {
        "source": str(folder),
        "num_photographs": len(photographs),
        "checksum": crc,
        "detector": {"kind": type(detector).__qualname__, **about},
        **settings,
    }


def _look_at_all(
    work: Unfinished,
    crops: Path,
    notes: Path,
    photographs: Sequence[Photograph],
    progress: Progress | None,
    **how: Any,
) -> None:
    """Write the crops of all photographs back to back into one file, and what was seen, a line each, into another."""
    spool, lines = work.grow(crops, notes)
    for done, seen in enumerate(look(photographs[work.done :], **how), start=work.done + 1):
        encoded = [encode_jpeg(crop) for crop in seen.crops]
        for data in encoded:
            spool.write(data)
        lines.write(json.dumps(_note(seen, [len(data) for data in encoded])).encode() + b"\n")
        work.mark(done)
        if progress is not None:
            progress(done, len(photographs))
    work.settle()


def _note(seen: Seen, sizes: Sequence[int]) -> dict[str, Any]:
    """Return what was seen in a photograph as JSON values, which keep every digit."""
    return {
        "name": seen.name,
        "num_found": seen.num_found,
        "missed": None if seen.missed is None else [seen.missed.reason, seen.missed.detail],
        "faces": [
            [face.box.tolist(), np.asarray(face.landmarks, np.float64).tolist(), float(face.confidence), num_bytes]
            for face, num_bytes in zip(seen.faces, sizes, strict=True)
        ],
    }


def _settled(
    crops: Path, notes: Path, folder: str | Path, *, size: int, min_eye_distance: float
) -> tuple[SpooledFaces, list[dict[str, Any]]]:
    """Return the faces that are kept, and the rows of what is left out."""
    records, rejects, start = SpooledFaces(crops, location=f"faces of {folder}", size=size), [], 0
    with open(notes, encoding="utf-8") as lines:
        for line in lines:
            note = json.loads(line)
            name, num_found = note["name"], note["num_found"]
            if note["missed"] is not None:
                rejects.append(_reject(name, *note["missed"]))
            for box, landmarks, confidence, num_bytes in note["faces"]:
                face = DetectedFace(box=np.array(box), landmarks=np.array(landmarks), confidence=confidence)
                if face.eye_distance < min_eye_distance:
                    rejects.append(_reject(name, "too small", f"{face.eye_distance:.1f} pixels between the eyes"))
                else:
                    records.add(name, face, start, num_bytes)
                start += num_bytes
            others = num_found - len(note["faces"])
            rejects += [_reject(name, "not chosen", f"one of {num_found} faces") for _ in range(others)]
    records.settle()
    return records, rejects


def _reject(name: str, reason: Rejection, detail: str) -> dict[str, Any]:
    return dict(zip(REJECT_COLUMNS, (name, reason, detail), strict=True))


def _row(entry: Entry) -> dict[str, Any]:
    face = entry.face
    values = (
        entry.key,
        entry.photograph,
        *face.box.round(1).tolist(),
        round(face.confidence, 4),
        round(face.eye_distance, 1),
        *entry.landmarks.astype(np.float64).round(2).ravel().tolist(),
    )
    return dict(zip(FACE_COLUMNS, values, strict=True))
