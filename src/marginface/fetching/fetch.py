"""`marginface data fetch NAME`: ask, download, verify, crop, and leave records with a manifest of where they came from.

The folder that comes out holds `NAME.tar` (open it as `tar:FOLDER/NAME.tar`), the set's other files such as
`pairs.txt`, `manifest.json`, and `downloads/` with the archives, which a second run with another detector uses again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from marginface.errors import InputError, WorkError
from marginface.fetching.convert import CROP_SIZE, JPEG_QUALITY, Conversion, convert
from marginface.fetching.download import Progress, download
from marginface.fetching.registry import UNRECORDED, PublicSet, public_set
from marginface.images.yunet import YuNet

MANIFEST_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class FetchedSet:
    """A public set on this disk, as records."""

    public_set: PublicSet
    folder: Path
    manifest: Mapping[str, Any]
    was_there: bool
    """Whether it was there, intact, so that nothing was done."""

    @property
    def records(self) -> str:
        """What `open_records`, and every command that takes a SOURCE, opens."""
        return f"tar:{self.folder / (self.public_set.name + '.tar')}"

    @property
    def pairs(self) -> Path | None:
        """The comparisons that come with the set."""
        name = next((f.name for f in self.public_set.files if f.role == "pairs"), None)
        return self.folder / name if name else None

    def summary(self) -> str:
        """Return what to tell the person who asked for it."""
        told = self.manifest
        done = "was there already and is intact" if self.was_there else "is ready"
        lines = [
            f"{self.public_set.title} {done}: {told['num_images']:,} images of {told['num_identities']:,} people, "
            f"{told['alignment']['landmarks']}.",
            f"records: {self.records}",
        ]
        if self.pairs:
            lines.append(f"pairs:   {self.pairs}")
        if told["without_detection"]:
            lines.append(
                f"In {len(told['without_detection'])} images the detector found no face; manifest.json names them."
            )
        if told["failures"]:
            key, reason = next(iter(told["failures"].items()))
            no_detector = told["alignment"]["detector_sha256"] is None
            lines.append(
                f"Photographs that could not be used: {len(told['failures'])}, such as {key} ({reason}); manifest.json "
                f"names them{'; a detector may find the face (--detector)' if no_detector else ''}."
            )
        expected = self.public_set.num_images
        if told["num_images"] + len(told["failures"]) != expected:
            lines.append(f"The set should have {expected:,} photographs; this archive had another number.")
        first_seen = [s for s in told["sources"] if s["checksum_on_record"] == UNRECORDED]
        lines += [
            f"No checksum is on record for {s['name']}; what came has {s['sha256']} and is held to that from now on."
            for s in first_seen
        ]
        lines += [f"licence: {told['licence']}", f"cite:    {told['citation']}"]
        return "\n".join(lines)


def fetch(
    name: str,
    *,
    destination: Path,
    confirm: Callable[[PublicSet], bool],
    progress: Progress,
    detector: Path | None = None,
    registry: Path | None = None,
) -> FetchedSet:
    """Return a public set as records in `destination`, bringing and making only what is not there.

    Args:
        name: a set of the registry, `lfw` or `london`.
        destination: the folder for this set; made when missing.
        confirm: asked, before anything is downloaded, for sets whose terms allow research only; it should show
            `public_set.terms()`.
        progress: `progress(what, done, total)` in bytes for files, in photographs for `what == "crops"`.
        detector: a YuNet .onnx to align with; without one, what the set itself tells is used.
        registry: another registry file, such as a laboratory's own mirror of these sets.

    Raises:
        InputError: unknown set, terms not accepted, a file which changed, a detector that cannot be used.
        WorkError: no network, a full disk, damaged downloads.
    """
    wanted = public_set(name, registry=registry)
    alignment = _alignment(detector)
    there = _intact(wanted, destination, alignment)
    if there is not None:
        return FetchedSet(public_set=wanted, folder=destination, manifest=there, was_there=True)
    finder = YuNet(detector) if detector else None  # before the download: a wrong path should not cost an hour
    if wanted.research_only and not confirm(wanted):
        raise InputError(f"{name}: nothing was fetched, because its terms were not accepted.")
    downloads = destination / "downloads"
    files = {file.role: download(file, downloads, progress=progress) for file in wanted.files}
    try:
        tar = destination / f"{name}.tar"
        (destination / "manifest.json").unlink(missing_ok=True)  # it would speak of files that are about to change
        conversion = convert(wanted, files, tar, detector=finder, progress=progress)
        outputs = [tar]
        for path in (p for p in files.values() if p.suffix in {".txt", ".csv"}):
            outputs.append(destination / path.name)
            shutil.copyfile(path, outputs[-1])
        manifest = _manifest(wanted, files, outputs, conversion, alignment)
        _write_whole(destination / "manifest.json", json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "the disk is full; make room and run the same command" if full else error.strerror or str(error)
        raise WorkError(f"{destination}: the records of {name} could not be written: {why}.") from error
    return FetchedSet(public_set=wanted, folder=destination, manifest=manifest, was_there=False)


def _alignment(detector: Path | None) -> dict[str, Any]:
    """Return how the crops are made, as the manifest says it; another answer makes them anew."""
    by_detector = detector is not None and detector.is_file()
    return {
        "size": CROP_SIZE,
        "template": "arcface_112",
        "jpeg_quality": JPEG_QUALITY,
        "landmarks": f"aligned by the detector {detector.name}" if detector else "aligned by what the set itself tells",
        "detector_sha256": _sha256(detector) if detector is not None and by_detector else None,
    }


def _manifest(
    wanted: PublicSet,
    files: Mapping[str, Path],
    outputs: list[Path],
    conversion: Conversion,
    alignment: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        "format": MANIFEST_FORMAT,
        "name": wanted.name,
        "title": wanted.title,
        "home": wanted.home,
        "licence": wanted.licence,
        "research_only": wanted.research_only,
        "citation": wanted.citation,
        "made_by": f"marginface {version('marginface')}",
        "made_on": datetime.now(UTC).isoformat(timespec="seconds"),
        "num_images": conversion.num_images,
        "num_identities": conversion.num_identities,
        "failures": dict(conversion.failures),
        "without_detection": list(conversion.without_detection),
        "alignment": dict(alignment),
        "sources": [
            {
                "name": file.name,
                "address": file.address,
                "checksum_on_record": file.checksum,
                "sha256": _sha256(files[file.role]),
                "num_bytes": files[file.role].stat().st_size,
            }
            for file in wanted.files
        ],
        "outputs": {path.name: {"sha256": _sha256(path), "num_bytes": path.stat().st_size} for path in outputs},
    }


def _intact(wanted: PublicSet, destination: Path, alignment: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the manifest of what is in the folder if it is what would be made now and nothing was changed since."""
    try:
        manifest: dict[str, Any] = json.loads((destination / "manifest.json").read_text(encoding="utf-8"))
        same_files = [s["checksum_on_record"] for s in manifest["sources"]] == [f.checksum for f in wanted.files]
        as_wanted = manifest["format"] == MANIFEST_FORMAT and manifest["name"] == wanted.name and same_files
        if not as_wanted or manifest["alignment"] != alignment:
            return None
        whole = all(_sha256(destination / name) == about["sha256"] for name, about in manifest["outputs"].items())
    except (OSError, ValueError, KeyError, TypeError):  # no manifest, or one that was edited: make it anew
        return None
    return manifest if whole else None


def _write_whole(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
