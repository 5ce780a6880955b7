"""What every protocol's settings share."""

from __future__ import annotations

from dataclasses import dataclass

from marginface.records.open import open_records
from marginface.records.record import RecordSource


@dataclass(frozen=True, kw_only=True)
class ProtocolSettings:
    """A protocol has a `kind`, opens its data, and makes its plan from their keys and labels."""

    @property
    def kind_name(self) -> str:
        """The kind, as registries and messages call it."""
        return str(vars(self)["kind"])

    def open(self, data: str) -> RecordSource:
        """Return the records that `data` names."""
        return open_records(data)
