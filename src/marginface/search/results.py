"""What a gallery answers."""

from __future__ import annotations

from dataclasses import dataclass

from marginface.search.operating_point import SearchPoint
from marginface.search.settings import Candidate


@dataclass(frozen=True)
class SearchResult:
    """What a search says of one face."""

    name: str | None
    """Of the best person, if the score reaches the threshold; None is "unknown"."""
    score: float
    """Of the best person, match or not; -inf in an empty gallery."""
    threshold: float
    candidates: tuple[Candidate, ...]
    """The best people, the most alike first, whether they reach the threshold or not."""
    point: SearchPoint
    """Where the threshold comes from and what it promises."""


@dataclass(frozen=True)
class Removal:
    """What is known of somebody who was removed."""

    person_id: str
    num_images: int
    sequence: int
    """Of the audit entry."""


@dataclass(frozen=True)
class AuditReport:
    """What a look at everything found."""

    problems: tuple[str, ...]
    """A sentence each; empty where all is well."""
    num_people: int
    num_images: int
    num_entries: int
    digest: str
    """Of the last audit entry; kept elsewhere, it shows later whether the log was written anew."""
    clock_went_back_at: tuple[int, ...]
    """Audit entries whose clock shows an earlier time than the one before; their order holds all the same."""
