"""What a gallery asks of the place that keeps it: files beside each other, or a database server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from marginface.search.approximate import IndexConfig
from marginface.search.audit_log import AuditEntry
from marginface.search.exact import Found
from marginface.search.settings import GallerySettings, Person, Samples, Vectors


class Writer(Protocol):
    """One change, all of it or nothing; exists inside `Store.writing`."""

    def find(self, name: str) -> Person | None:
        """Return who has this name now."""

    def log(self, event: str, person_id: str, detail: Mapping[str, Any]) -> int:
        """Append to the audit log; return the entry's number."""

    def put(self, person: Person, samples: Samples, template: Vectors, *, replace: bool) -> None:
        """Add images of a person, new or known, and set the template (D,); with `replace`, instead of older images."""

    def remove(self, person_id: str, sequence: int) -> None:
        """Erase a person, with everything that came from a face."""


class Store(Protocol):
    """Keeps people, their vectors and the audit log."""

    @property
    def location(self) -> str:
        """Where it is, for sentences."""

    @property
    def settings(self) -> GallerySettings: ...

    def num_people(self) -> int: ...

    def people(self) -> list[Person]:
        """Return everybody, by name."""

    def samples(self, person_id: str) -> Samples:
        """Return all images of a person, in the order in which they came."""

    def template(self, person_id: str) -> Vectors:
        """Return a person's template (D,)."""

    def search(self, queries: Vectors, top_k: int, *, exact: bool = False) -> tuple[Found, list[str]]:
        """Return the best people for unit queries (Q, D): rows index into the list of names that comes with them.

        With `exact` everybody is compared, even where an index was built.
        """

    def build_index(self, config: IndexConfig) -> None:
        """Build an index that later searches use."""

    def writing(self) -> AbstractContextManager[Writer]:
        """Return a context in which this process alone writes; what was done is kept when it ends without an error.

        Raises:
            WorkError: somebody else went on writing, or the disk is full.
        """

    def entries(self) -> list[AuditEntry]:
        """Return the audit log."""

    def problems(self) -> Sequence[str]:
        """Return what is damaged, a sentence each."""

    def close(self) -> None: ...
