"""What is known of the public sets: where their files are, what they must be, and under which terms they come."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marginface.errors import InputError, one_of

UNRECORDED = "unrecorded"
"""The checksum of a file for which none was found written down; see `download.py` for what then happens."""

_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}|" + UNRECORDED)
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, kw_only=True)
class PublicFile:
    """One file of a public set."""

    role: str
    """What the set's layout uses it for: `photographs`, `pairs`, ..."""
    name: str
    """Its name on disk."""
    address: str
    """http or https."""
    checksum: str
    """`sha256:HEX`, `md5:HEX` or `unrecorded`."""
    num_bytes: int | None = None
    """Its size, where known."""

    def __post_init__(self) -> None:
        if not _CHECKSUM.fullmatch(self.checksum):
            raise ValueError(f"{self.name}: checksum {self.checksum!r} is not sha256:HEX, md5:HEX or {UNRECORDED}")
        if not _FILE_NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is not a plain file name")
        if not self.address.startswith(("https://", "http://")):
            raise ValueError(f"{self.name}: the address {self.address!r} is neither http nor https")


@dataclass(frozen=True, kw_only=True)
class PublicSet:
    """A public set of photographs, its files and its terms."""

    name: str
    title: str
    home: str
    contains: str
    licence: str
    research_only: bool
    """Whether the terms, as far as they can be told, leave room for research only; the user is then asked first."""
    citation: str
    layout: str
    """How its files are read; a key of `convert.LAYOUTS`."""
    num_images: int
    num_identities: int
    files: tuple[PublicFile, ...]

    @property
    def num_bytes(self) -> int | None:
        """The size of all files, None where one is unknown."""
        sizes = [f.num_bytes for f in self.files]
        return None if None in sizes else sum(s for s in sizes if s is not None)

    def terms(self) -> str:
        """Return the text to show to a person before anything is downloaded."""
        size = (
            f"{self.num_bytes / 1e6:,.0f} MB" if self.num_bytes is not None else "size not known before it is asked for"
        )
        lines = [
            f"{self.title} ({self.home})",
            f"Contains: {self.contains}.",
            f"Download: {len(self.files)} files, {size}.",
            f"Licence:  {self.licence}.",
            f"Cite:     {self.citation}",
        ]
        if self.research_only:
            lines.append("For research only: do not train or ship a product with it.")
        return "\n".join([*lines, *unrecorded_words(self.files)])


def public_sets(registry: Path | None = None) -> dict[str, PublicSet]:
    """Return the sets by name, from a registry file or from the one that ships with the package.

    Raises:
        InputError: the file is missing, not TOML, or an entry lacks a field or has one that does not exist.
    """
    path = registry or Path(__file__).parent / "public_sets.toml"
    return {name: _public_set(name, entry, path) for name, entry in read_entries(path, "public sets").items()}


def public_set(name: str, *, registry: Path | None = None) -> PublicSet:
    """Return one set.

    Raises:
        InputError: there is no such set; the message names those that there are.
    """
    sets = public_sets(registry)
    if name not in sets:
        raise InputError(f"{name}: there is no such public set{one_of(name, list(sets))}.")
    return sets[name]


def _public_set(name: str, entry: Any, path: Path) -> PublicSet:
    try:
        files = tuple(PublicFile(**file) for file in entry["files"])
        found = PublicSet(**{**entry, "name": name, "files": files})
    except (TypeError, KeyError, ValueError) as error:
        fields = ", ".join(f.name for f in dataclasses.fields(PublicSet) if f.name != "name")
        raise InputError(f"{path}: the entry {name} does not fit ({error}); its fields are {fields}.") from error
    roles = [f.role for f in files]
    if len(set(roles)) < len(roles) or len({f.name for f in files}) < len(files):
        raise InputError(f"{path}: the entry {name} has two files of one role or one name.")
    return found


def read_entries(path: Path, what: str) -> dict[str, Any]:
    """Return the entries of a TOML registry by name.

    Raises:
        InputError: the file is missing or not TOML; `what` says what it should hold.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot read this registry of {what} ({error.strerror}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: this is not a TOML file ({error}).") from error


def unrecorded_words(files: Sequence[PublicFile]) -> list[str]:
    """Return a sentence on the files without a checksum on record, or nothing."""
    names = [file.name for file in files if file.checksum == UNRECORDED]
    if not names:
        return []
    return [
        f"No checksum is on record for {', '.join(names)}: the first download is trusted as it comes, and a later one "
        "that differs from it is refused."
    ]
