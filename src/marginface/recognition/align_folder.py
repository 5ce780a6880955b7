"""A folder of photographs -> records of aligned faces, with a log of every photograph and face that is not among them.

    DIR/<person>/<photograph>     the first folder is the identity; photographs directly in DIR are of "unsorted"

Beside the records lie `NAME.faces.csv` (where each face was, and its landmarks in the crop) and `NAME.rejects.csv`
(every photograph or face left out, and why). Formats that hold landmarks hold them too.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError, WorkError, one_of
from marginface.images.degrade import encode_jpeg
from marginface.images.detect import DetectedFace, Detector, Which
from marginface.recognition.aligned import CROP_SIZE, Progress, Seen, look
from marginface.recognition.face_records import UNSORTED, in_crop, meta_of
from marginface.recognition.photographs import photographs_in
from marginface.recognition.rows import write_rows
from marginface.records.record import Record
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
    rejects: list[dict[str, Any]] = []
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target.parent) as spool:
            records = SpooledFaces(spool, location=f"faces of {folder}")
            for seen in look(
                photographs, detector=detector, which=which, size=size, workers=workers, progress=progress
            ):
                rejects += _take(seen, records, min_eye_distance)
            if not len(records):
                raise InputError(f"{folder}: there is no face in any of its {len(photographs)} photographs.")
            records.settle()
            WRITERS[scheme](records, target, lambda done, total: None)
    except OSError as error:
        raise WorkError(f"{out}: could not be written ({error.strerror or error}).") from error
    faces_log, rejects_log = (target.with_name(f"{target.name}.{what}.csv") for what in ("faces", "rejects"))
    write_rows(faces_log, [_row(entry) for entry in records.entries], columns=FACE_COLUMNS)
    write_rows(rejects_log, rejects, columns=REJECT_COLUMNS)
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
    """A `RecordSource` of encoded crops that wait in a temporary file: memory stays flat however many there are."""

    def __init__(self, spool: IO[bytes], *, location: str) -> None:
        self._spool = spool
        self.location = location
        self.entries: list[Entry] = []
        self._taken: set[str] = set()
        self.keys: Sequence[str] = ()
        self.identities: tuple[str, ...] = ()
        self.labels: npt.NDArray[np.int64] = np.empty(0, np.int64)

    def add(self, photograph: str, face: DetectedFace, crop: npt.NDArray[np.uint8]) -> None:
        """Keep one face."""
        data = encode_jpeg(crop)
        start = self.entries[-1].start + self.entries[-1].num_bytes if self.entries else 0
        self._spool.write(data)
        self.entries.append(
            Entry(
                key=self._new_key(photograph),
                photograph=photograph,
                face=face,
                landmarks=in_crop(face, len(crop)),
                start=start,
                num_bytes=len(data),
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
        self._spool.seek(entry.start)
        return Record(
            key=entry.key,
            image=self._spool.read(entry.num_bytes),
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


def _take(seen: Seen, records: SpooledFaces, min_eye_distance: float) -> list[dict[str, Any]]:
    """Keep the faces of a photograph, and return the rows of what is left out."""
    if seen.missed is not None:
        return [_reject(seen.name, seen.missed.reason, seen.missed.detail)]
    rejects = []
    for face, crop in zip(seen.faces, seen.crops, strict=True):
        if face.eye_distance < min_eye_distance:
            rejects.append(_reject(seen.name, "too small", f"{face.eye_distance:.1f} pixels between the eyes"))
        else:
            records.add(seen.name, face, crop)
    others = seen.num_found - len(seen.faces)
    return rejects + [_reject(seen.name, "not chosen", f"one of {seen.num_found} faces") for _ in range(others)]


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
