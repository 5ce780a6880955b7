"""What is known of published weights: where their files are, what they must be, and under which terms they come."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from marginface.errors import InputError, one_of
from marginface.fetching.registry import PublicFile, read_entries, unrecorded_words
from marginface.models.card import CommercialUse
from marginface.models.convert import FAMILIES


@dataclass(frozen=True, kw_only=True)
class PublishedModel:
    """Weights that somebody published, and their terms."""

    name: str
    title: str
    home: str
    family: str
    """What the file must turn out to be; a key of `models.convert.FAMILIES`."""
    licence: str
    commercial_use: CommercialUse
    training_data: str
    citation: str
    files: tuple[PublicFile, ...]
    """In the role `network` the weights, `shard` further shards of a head in the order of ranks, `settings` what
    stands beside them."""
    colour_order: Literal["rgb", "bgr"] | None = None
    """Where the family does not tell."""
    value_range: Literal["minus_one_to_one", "zero_to_one"] | None = None
    """Where the family does not tell."""

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"{self.family!r} is no family{one_of(self.family, tuple(FAMILIES))}")
        if self.commercial_use not in ("allowed", "not allowed", "not stated"):
            raise ValueError(f"commercial_use is {self.commercial_use!r}; it is allowed, not allowed or not stated")
        roles = [file.role for file in self.files]
        if roles.count("network") != 1 or set(roles) - {"network", "shard", "settings"}:
            raise ValueError(f"the roles of its files are {roles}; one network, then shards and settings")
        if len({file.name for file in self.files}) < len(self.files):
            raise ValueError("two files have one name")

    def terms(self) -> str:
        """Return the text to show to a person before anything is downloaded."""
        lines = [
            f"{self.title} ({self.home})",
            f"Licence:        {self.licence}.",
            f"Commercial use: {self.commercial_use}.",
            f"Training data:  {self.training_data}.",
            f"Cite:           {self.citation}",
        ]
        return "\n".join([*lines, *unrecorded_words(self.files)])


def published_models(registry: Path | None = None) -> dict[str, PublishedModel]:
    """Return the models by name, from a registry file or from the one that ships with the package.

    Raises:
        InputError: the file is missing, not TOML, or an entry lacks a field or has one that does not exist.
    """
    path = registry or Path(__file__).parent / "published_models.toml"
    entries = read_entries(path, "models")
    return {name: _published_model(name, entry, path) for name, entry in entries.items()}


def _published_model(name: str, entry: Any, path: Path) -> PublishedModel:
    try:
        files = tuple(PublicFile(**file) for file in entry["files"])
        return PublishedModel(**{**entry, "name": name, "files": files})
    except (TypeError, KeyError, ValueError) as error:
        fields = ", ".join(f.name for f in dataclasses.fields(PublishedModel) if f.name != "name")
        raise InputError(f"{path}: the entry {name} does not fit ({error}); its fields are {fields}.") from error
