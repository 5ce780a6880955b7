"""What a gallery is bound to for its whole life, and the plain data that it speaks in."""

from __future__ import annotations

import json
import math
import uuid
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from marginface import config
from marginface.errors import InputError
from marginface.models.card import Threshold

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class EnrolmentPolicy:
    """Who and what may come into a gallery."""

    minimum_quality: float = 0.0
    """Images below are refused; in units of the gallery's quality."""
    duplicate_score: float | None = None
    """Cosine from which a new person counts as one who is already enrolled under another name, and is refused. None
    takes the card's strictest threshold; a card without thresholds leaves duplicates unseen."""
    keep_crops: bool = False
    """Whether aligned crops are kept, so that another model can embed them later. They are pictures of people."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.minimum_quality):
            raise InputError(f"minimum_quality is {self.minimum_quality}; it must be a finite number.")
        if self.duplicate_score is not None and not -1.0 <= self.duplicate_score <= 1.0:
            raise InputError(f"duplicate_score is {self.duplicate_score}; it is a cosine, from -1 to 1.")


@dataclass(frozen=True, kw_only=True)
class GallerySettings:
    """Written when a gallery is made and never changed: vectors of another model do not belong in it."""

    gallery_id: str
    """Random; tells the files of one gallery from those of another."""
    fingerprint: str
    """Of the only model whose vectors are accepted."""
    embedding_dim: int
    model: str = ""
    """The model's name, for people."""
    model_folder: str = ""
    """Where the model lay, so that verbs find it; its fingerprint is checked each time."""
    flip: Literal["none", "sum"] = "sum"
    """The flip policy of all vectors."""
    quality: str = "norm"
    """What the quality of an image is: "norm" is the embedding's length; any other name is a method whose values
    come with the vectors."""
    thresholds: tuple[Threshold, ...] = ()
    """Those of the model's card with this flip policy."""
    policy: EnrolmentPolicy = field(default_factory=EnrolmentPolicy)

    def to_json(self) -> str:
        """Return the settings as one line of JSON."""
        return json.dumps(config.dump(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> GallerySettings:
        """Return what `to_json` wrote."""
        return config.load(cls, json.loads(text), path="gallery")

    @property
    def duplicate_score(self) -> float | None:
        """The score that tells duplicates; None where the card knows none."""
        if self.policy.duplicate_score is not None:
            return self.policy.duplicate_score
        strictest = min(self.thresholds, key=lambda t: t.target_fmr, default=None)
        return None if strictest is None else strictest.score


@dataclass(frozen=True)
class Person:
    """Somebody enrolled."""

    person_id: str
    """32 hex digits, random: what the audit log knows of a person."""
    name: str
    num_images: int
    sequence: int
    """Number of the audit entry that last changed this person."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Images of one person, one row each."""

    unit: Vectors
    """(n, D) of length 1."""
    qualities: Vectors
    """(n,)"""
    norms: Vectors
    """(n,) lengths of the embeddings before normalising."""
    crops: tuple[bytes | None, ...]
    """(n,) PNG files, where they were kept."""

    def __len__(self) -> int:
        return len(self.unit)


@dataclass(frozen=True)
class Candidate:
    """One person on the list that a search returns."""

    rank: int
    """1 is the most alike."""
    name: str
    score: float
    """Cosine with the person's template."""


def new_id() -> str:
    """Return 32 random hex digits, which say nothing of whom they stand for."""
    return uuid.uuid4().hex
