"""A gallery as one tar file, and back: JSON, JSON lines and .npy, nothing that runs code when read.

gallery.json   format and settings
people.jsonl   name, person_id, images: in the order of the rows below
vectors.npy    (N, D) float32, unit; qualities.npy and norms.npy (N,)
crops/00000012 the crop of row 12, where crops are kept
audit.jsonl    the log, for reading: a gallery that takes people in writes a log of its own
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from marginface.errors import InputError, WorkError
from marginface.search.enrolment import Applicant, Enrolment, admit
from marginface.search.gallery import Gallery
from marginface.search.names import clean_name
from marginface.search.open_store import create_store, exists
from marginface.search.settings import GallerySettings, Samples, new_id

_FORMAT = "marginface gallery 1"


@dataclass(frozen=True, eq=False)
class ExportedGallery:
    """What an export holds."""

    settings: GallerySettings
    names: tuple[str, ...]
    samples: tuple[Samples, ...]
    """One for each name."""
    log_digest: str
    """Of the last audit entry at the time."""


def export_gallery(gallery: Gallery, path: Path) -> int:
    """Write all people into a tar file and say so in the audit log; return their number.

    Raises:
        InputError: the file exists.
        WorkError: the disk is full; no file is left then.
    """
    if path.exists():
        raise InputError(f"{path}: this file exists; choose another name for the export.")
    aside = path.with_name(path.name + ".partial")
    try:
        with gallery.store.writing() as writer:  # nobody else changes anything meanwhile
            people = gallery.people()
            samples = [gallery.store.samples(person.person_id) for person in people]
            aside.touch(mode=0o600)
            with tarfile.open(aside, "w") as tar:
                _add(tar, "gallery.json", {"format": _FORMAT, "settings": json.loads(gallery.settings.to_json())})
                _add(
                    tar,
                    "people.jsonl",
                    *({"name": p.name, "person_id": p.person_id, "images": p.num_images} for p in people),
                )
                for name, rows in _arrays(samples, gallery.settings.embedding_dim).items():
                    file = io.BytesIO()
                    np.save(file, rows, allow_pickle=False)
                    _add_bytes(tar, f"{name}.npy", file.getvalue())
                for row, crop in enumerate(crop for s in samples for crop in s.crops):
                    if crop is not None:
                        _add_bytes(tar, f"crops/{row:08d}", crop)
                _add(tar, "audit.jsonl", *(asdict(entry) for entry in gallery.store.entries()))
            os.replace(aside, path)
            writer.log("export", "", {"people": len(people)})
    except OSError as error:
        raise WorkError(f"{path}: cannot be written ({error.strerror}).") from error
    finally:
        aside.unlink(missing_ok=True)
    return len(people)


def import_gallery(
    path: Path, location: str | Path, *, allow_duplicates: bool = False, timeout_seconds: float = 5.0
) -> list[Enrolment]:
    """Enrol the people of an export into the gallery at `location`, which is made where there is none.

    Raises:
        InputError: not an export, one of another model, or somebody in it has the name of somebody enrolled: then
            nobody is taken in.
    """
    exported = read_export(path)
    if not exists(location):
        fresh = replace(exported.settings, gallery_id=new_id())
        create_store(location, fresh, timeout_seconds=timeout_seconds).close()
    with Gallery(location, timeout_seconds=timeout_seconds) as gallery:
        ours, theirs = gallery.settings, exported.settings
        for name in ("fingerprint", "flip", "quality"):
            if getattr(ours, name) != getattr(theirs, name):
                raise InputError(
                    f"{path}: its {name} is {getattr(theirs, name)!r}, that of {location} is {getattr(ours, name)!r}; "
                    "their vectors cannot be mixed."
                )
        applicants = [_applicant(n, s, ours) for n, s in zip(exported.names, exported.samples, strict=True)]
        with gallery.store.writing() as writer:
            there = [name for name in exported.names if writer.find(name) is not None]
            if there:
                raise InputError(f"{path}: {there[0]!r} is enrolled in {location} already; nobody was taken in.")
            writer.log("import", "", {"people": len(applicants), "log_digest": exported.log_digest})
            return admit(gallery.store, writer, applicants, replace=False, allow_duplicates=allow_duplicates)


def read_export(path: Path) -> ExportedGallery:
    """Return what an export holds. Nothing is unpacked onto the disk, and other members are not looked at.

    Raises:
        InputError: not an export, or a damaged one.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            head = json.loads(_read(tar, "gallery.json"))
            if head.get("format") != _FORMAT:
                raise ValueError("another format")
            settings = GallerySettings.from_json(json.dumps(head["settings"]))
            people = [json.loads(line) for line in _read(tar, "people.jsonl").splitlines()]
            vectors, qualities, norms = (
                np.load(io.BytesIO(_read(tar, f"{name}.npy")), allow_pickle=False)
                for name in ("vectors", "qualities", "norms")
            )
            crops = {int(m.name[6:]): _read(tar, m.name) for m in tar.getmembers() if m.name.startswith("crops/")}
            log = _read(tar, "audit.jsonl").splitlines()
        counts = [int(person["images"]) for person in people]
        if min(counts, default=1) < 1 or vectors.shape != (sum(counts), settings.embedding_dim):
            raise ValueError("the vectors are not those of the people")
        if qualities.shape != norms.shape or norms.shape != (len(vectors),):
            raise ValueError("qualities or norms do not fit the vectors")
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
        if not (np.isfinite(qualities).all() and np.isfinite(norms).all() and (np.abs(lengths - 1) < 1e-3).all()):
            raise ValueError("vectors that are not of length 1, or numbers that are not finite")
        names = tuple(clean_name(person["name"]) for person in people)
        if len(set(names)) < len(names):
            raise ValueError("a name occurs twice")
        ends = np.cumsum(counts, dtype=np.int64).tolist()
        samples = tuple(
            Samples(
                vectors[a:b].astype(np.float32),
                qualities[a:b].astype(np.float32),
                norms[a:b].astype(np.float32),
                tuple(crops.get(row) for row in range(a, b)),
            )
            for a, b in zip([0, *ends[:-1]], ends, strict=True)
        )
        return ExportedGallery(settings, names, samples, json.loads(log[-1])["digest"] if log else "")
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file.") from error
    except (OSError, tarfile.TarError, ValueError, KeyError, TypeError, AttributeError, EOFError) as error:
        raise InputError(f"{path}: this is not an undamaged export of a gallery ({error}).") from error


def _applicant(name: str, samples: Samples, settings: GallerySettings) -> Applicant:
    crops = samples.crops if settings.policy.keep_crops else (None,) * len(samples)
    return Applicant(name, replace(samples, crops=crops), ())


def _arrays(samples: Sequence[Samples], embedding_dim: int) -> dict[str, np.ndarray]:
    nothing = np.zeros((0, embedding_dim), np.float32)
    return {
        "vectors": np.concatenate([nothing, *(s.unit for s in samples)]),
        "qualities": np.concatenate([nothing[:, 0], *(s.qualities for s in samples)]),
        "norms": np.concatenate([nothing[:, 0], *(s.norms for s in samples)]),
    }


def _add(tar: tarfile.TarFile, name: str, *rows: object) -> None:
    _add_bytes(tar, name, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o600
    tar.addfile(member, io.BytesIO(content))


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is not a file")
    return file.read()
