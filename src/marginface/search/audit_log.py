"""The audit log: what was done to a gallery, in order, each entry sealed by the digest of the one before it.

No entry holds a name or anything of a face: people appear as random ids, which mean nothing once a person is removed.
Order is that of the sequence numbers; the clock is only written down, for clocks go back.

The chain shows that an entry was changed, left out or put in between. Somebody who may write every file can forge
the whole chain; keep the last digest elsewhere (`gallery audit` prints it): given back as an anchor, it shows that too.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

START = "0" * 64
"""What the first entry follows."""


@dataclass(frozen=True)
class AuditEntry:
    """One line of the log."""

    sequence: int
    """1, 2, 3, ..."""
    time: str
    """What the clock said, ISO 8601, UTC."""
    event: str
    """create, enrol, remove, export, import, repair or reembed."""
    person_id: str
    """Empty where the event is about the gallery."""
    detail: str
    """JSON: counts and settings."""
    previous: str
    """Digest of the entry before; zeros for the first."""
    digest: str
    """SHA-256 of all of the above."""


def next_entry(last: AuditEntry | None, event: str, person_id: str, detail: Mapping[str, Any]) -> AuditEntry:
    """Return the entry that follows `last`."""
    sequence = 1 if last is None else last.sequence + 1
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    text = json.dumps(detail, ensure_ascii=False, sort_keys=True)
    previous = START if last is None else last.digest
    digest = _digest(sequence, time, event, person_id, text, previous)
    return AuditEntry(sequence, time, event, person_id, text, previous, digest)


def check_chain(entries: Sequence[AuditEntry], *, anchor: str = "") -> list[str]:
    """Return what is wrong with the log, a sentence each; an empty list means that nothing is.

    Args:
        entries: all, by sequence number.
        anchor: a digest that this log ended with at some time; empty for none.
    """
    wrong = []
    previous, expected = START, 1
    for entry in entries:
        if entry.sequence != expected:
            wrong.append(f"audit entry {expected} is missing.")
        elif entry.previous != previous:
            wrong.append(f"audit entry {entry.sequence} does not follow the one before it.")
        fields = (entry.sequence, entry.time, entry.event, entry.person_id, entry.detail, entry.previous)
        if entry.digest != _digest(*fields):
            wrong.append(f"audit entry {entry.sequence} was changed after it was written.")
        previous, expected = entry.digest, entry.sequence + 1
    if anchor and not any(entry.digest == anchor for entry in entries):
        wrong.append(f"no audit entry has the digest {anchor[:16]}...: the log was cut or written anew.")
    return wrong


def clock_steps(entries: Sequence[AuditEntry]) -> list[int]:
    """Return the sequence numbers at which the clock had gone back: no fault, but good to know."""
    return [b.sequence for a, b in itertools.pairwise(entries) if b.time < a.time]


def counted_images(entries: Sequence[AuditEntry]) -> dict[str, int]:
    """Return how many images each person has according to the log alone."""
    counts: dict[str, int] = {}
    for entry in entries:
        detail = json.loads(entry.detail)
        if entry.event == "remove":
            counts.pop(entry.person_id, None)
        elif entry.person_id:
            counts[entry.person_id] = int(detail["images_in_all"])
        elif entry.event == "repair":
            counts = {person: int(count) for person, count in detail["images"].items()}
    return counts


def _digest(*fields: object) -> str:
    return hashlib.sha256(json.dumps(fields, ensure_ascii=False).encode()).hexdigest()
