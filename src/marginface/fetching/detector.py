"""The face detector that is meant when none is named: on this disk, or downloaded once, checked and kept.

The registry `published_detectors.toml` says where it comes from, what it must be, and under which terms.
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path

from marginface.errors import InputError, WorkError, one_of
from marginface.fetching.download import Progress, download
from marginface.fetching.home import home
from marginface.fetching.registry import PublicFile, read_entries
from marginface.models.card import CommercialUse

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PublishedDetector:
    """A detector that somebody published, and its terms."""

    name: str
    title: str
    home: str
    licence: str
    commercial_use: CommercialUse
    training_data: str
    citation: str
    files: tuple[PublicFile, ...]

    @property
    def file(self) -> PublicFile:
        """Its network."""
        return self.files[0]


def published_detectors(registry: Path | None = None) -> dict[str, PublishedDetector]:
    """Return the detectors by name, from a registry file or from the one that ships with the package.

    Raises:
        InputError: the file is missing, not TOML, or an entry lacks a field or has one that does not exist.
    """
    path = registry or Path(__file__).parent / "published_detectors.toml"
    found = {}
    for name, entry in read_entries(path, "detectors").items():
        try:
            files = tuple(PublicFile(**file) for file in entry["files"])
            if len(files) != 1:
                raise ValueError(f"it has {len(files)} files; a detector is one")
            found[name] = PublishedDetector(**{**entry, "name": name, "files": files})
        except (TypeError, KeyError, ValueError) as error:
            fields = ", ".join(f.name for f in dataclasses.fields(PublishedDetector) if f.name != "name")
            raise InputError(f"{path}: the entry {name} does not fit ({error}); its fields are {fields}.") from error
    return found


def detector_file(
    name: str = "yunet", *, progress: Progress, folder: Path | None = None, registry: Path | None = None
) -> Path:
    """Return the file of a published detector; it is downloaded only where it is not yet, or was damaged.

    Args:
        name: of the registry.
        progress: `progress(what, done, total)` in bytes.
        folder: where detectors are kept; `detectors` in `MARGINFACE_HOME` unless given.
        registry: another registry file, such as a laboratory's own mirror.

    Raises:
        InputError: there is no such detector.
        WorkError: it is not here and cannot be downloaded; the message says where to put it by hand.
    """
    known = published_detectors(registry)
    if name not in known:
        raise InputError(f"{name}: there is no such published detector{one_of(name, list(known))}.")
    wanted, folder = known[name], folder or home() / "detectors"
    path = folder / wanted.file.name
    if not path.exists():
        logger.info("%s; licence: %s; from %s", wanted.title, wanted.licence, wanted.home)
    try:
        return download(wanted.file, folder, progress=progress)
    except WorkError as error:
        raise WorkError(
            f"{error} It is the detector: bring the file from {wanted.home} by other means, and put it at {path} or"
            " name it with --detector."
        ) from error
