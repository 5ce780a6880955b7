"""How the archives of each public set are read: one photograph after another, never unpacked to disk.

Nothing of a member's path is ever used as a path: identity and image name are taken from it and checked. An archive
with a member that would leave its folder is refused as a whole, for such a one was made to do harm.
"""

from __future__ import annotations

import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.fetching.landmarks import (
    LFW_LANDMARKS,
    find_same_eyes,
    landmarks_from_eyes,
    read_tem,
)
from marginface.images.decode import decode_image
from marginface.images.detect import Pixels, Points

MAX_MEMBER_BYTES = 32 << 20
"""No photograph of these sets is near it; what claims more is not read."""

LEAST_LIKENESS = 0.8
"""Of the eyes of one person in two photographs, see `find_same_eyes`; 101 of the 102 people of the London Set pass."""

_PLAIN_NAME = re.compile(r"[^\W_][\w.'-]*")


class NoLandmarksError(InputError):
    """A photograph in which the set does not tell where the face is."""


@dataclass(frozen=True, kw_only=True)
class Photograph:
    """One photograph of a public set, still encoded."""

    key: str
    """`identity/image.jpg` in the records to be made."""
    encoded: bytes
    landmarks: Callable[[Pixels], npt.NDArray[np.float64]]
    """Takes the decoded photograph and returns (5, 2) landmarks, without a detector; raises NoLandmarksError."""


def lfw_photographs(files: Mapping[str, Path]) -> Iterator[Photograph]:
    """Yield the photographs of `top/identity/identity_0001.jpg` in a tar, in the archive's order.

    Raises:
        InputError: the archive is damaged, or has a member that would leave its folder.
    """
    path = files["photographs"]
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                parts = _safe_parts(member.name, path)
                if not member.isreg() or len(parts) != 3 or not parts[2].lower().endswith(".jpg"):
                    continue
                identity, image = _plain(parts[1], path), _plain(parts[2], path)
                reader = archive.extractfile(member)
                if member.size > MAX_MEMBER_BYTES or reader is None:
                    raise InputError(f"{path}: {member.name} claims {member.size:,} bytes, which no photograph has.")
                yield Photograph(key=f"{identity}/{image}", encoded=reader.read(), landmarks=_lfw_landmarks)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: this archive is damaged ({error}); delete it and fetch again.") from error


def london_photographs(files: Mapping[str, Path]) -> Iterator[Photograph]:
    """Yield `001/neutral.jpg`, `001/smiling.jpg`, ... from the two zips, person by person.

    The first two points of a neutral photograph's template (`001_03.tem`) are the eye centres. A smiling one has no
    template; its eyes are found from the neutral one's.

    Raises:
        InputError: an archive is damaged, or has a member that would leave its folder.
    """
    neutral_path, smiling_path = files["neutral"], files["smiling"]
    with _opened_zip(neutral_path) as neutral_zip, _opened_zip(smiling_path) as smiling_zip:
        neutral = _by_person(neutral_zip, neutral_path, ".jpg")
        smiling = _by_person(smiling_zip, smiling_path, ".jpg")
        templates = _by_person(neutral_zip, neutral_path, ".tem")
        for person in sorted(neutral.keys() | smiling.keys()):
            face = _Neutral(
                photograph=_read(neutral_zip, neutral_path, neutral.get(person)),
                template=_read(neutral_zip, neutral_path, templates.get(person)),
                template_name=templates.get(person, f"{person}_03.tem"),
            )
            if face.photograph is not None:
                yield Photograph(
                    key=f"{person}/neutral.jpg", encoded=face.photograph, landmarks=face.landmarks_in_itself
                )
            smile = _read(smiling_zip, smiling_path, smiling.get(person))
            if smile is not None:
                yield Photograph(key=f"{person}/smiling.jpg", encoded=smile, landmarks=face.landmarks_in_smiling)


LAYOUTS: dict[str, Callable[[Mapping[str, Path]], Iterator[Photograph]]] = {
    "lfw": lfw_photographs,
    "london": london_photographs,
}


def _lfw_landmarks(image: Pixels) -> Points:
    if image.shape[:2] != (250, 250):
        height, width = image.shape[:2]
        raise NoLandmarksError(f"it is {width} x {height}, where LFW photographs are 250 x 250")
    return LFW_LANDMARKS


@dataclass(frozen=True, kw_only=True)
class _Neutral:
    """A person's neutral photograph with its template, from which both photographs get their landmarks."""

    photograph: bytes | None
    template: bytes | None
    template_name: str

    def landmarks_in_itself(self, _: Pixels) -> Points:
        return landmarks_from_eyes(self._eyes())

    def landmarks_in_smiling(self, image: Pixels) -> Points:
        if self.photograph is None:
            raise NoLandmarksError("there is no neutral photograph of this person to find the eyes by")
        eyes, likeness = find_same_eyes(
            decode_image(self.photograph, name="the neutral photograph"), self._eyes(), image
        )
        if likeness < LEAST_LIKENESS:
            raise NoLandmarksError(
                f"the eyes of the neutral photograph were not found in it again (likeness {likeness:.2f})"
            )
        return landmarks_from_eyes(eyes)

    def _eyes(self) -> Points:
        if self.template is None:
            raise NoLandmarksError(f"there is no landmark template {self.template_name}")
        return read_tem(self.template, name=self.template_name)[:2]


def _by_person(archive: zipfile.ZipFile, path: Path, suffix: str) -> dict[str, str]:
    """Return {person: member} for members such as `neutral_front/001_03.jpg`; what macOS adds is left out."""
    members = {}
    for name in archive.namelist():
        parts = _safe_parts(name, path)
        if parts and parts[0] != "__MACOSX" and not parts[-1].startswith(".") and parts[-1].lower().endswith(suffix):
            members[_plain(parts[-1].partition("_")[0], path)] = name
    return members


def _opened_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise InputError(f"{path}: this archive is damaged ({error}); delete it and fetch again.") from error


def _read(archive: zipfile.ZipFile, path: Path, member: str | None) -> bytes | None:
    if member is None:
        return None
    size = archive.getinfo(member).file_size
    if size > MAX_MEMBER_BYTES:
        raise InputError(f"{path}: {member} claims {size:,} bytes, which no photograph has.")
    try:
        return archive.read(member)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InputError(
            f"{path}: this archive is damaged at {member} ({error}); delete it and fetch again."
        ) from error


def _safe_parts(member: str, path: Path) -> tuple[str, ...]:
    place = PurePosixPath(member)
    if place.is_absolute() or ".." in place.parts or "\\" in member or ":" in member:
        raise InputError(f"{path}: this archive has a member that would leave its folder ({member!r}); do not use it.")
    return place.parts


def _plain(name: str, path: Path) -> str:
    if not _PLAIN_NAME.fullmatch(name):
        raise InputError(f"{path}: {name!r} in this archive is not a plain name; is it the archive of this set?")
    return name
