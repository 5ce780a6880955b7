"""The audit log's chain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marginface.search import audit_log
from marginface.search.audit_log import AuditEntry, check_chain, clock_steps, next_entry


@pytest.fixture
def log() -> list[AuditEntry]:
    entries: list[AuditEntry] = []
    for i in range(6):
        detail = {"images": i, "images_in_all": i}
        entries.append(next_entry(entries[-1] if entries else None, "enrol", f"{i:032x}", detail))
    return entries


def test_an_honest_log_has_nothing_wrong(log: list[AuditEntry]) -> None:
    assert check_chain(log) == []
    assert check_chain([]) == []
    assert check_chain(log, anchor=log[2].digest) == []


@pytest.mark.parametrize("field", ["time", "event", "person_id", "detail", "previous", "digest"])
def test_a_change_in_any_field_is_found(log: list[AuditEntry], field: str) -> None:
    log[2] = replace(log[2], **{field: getattr(log[2], field) + " "})
    assert any("entry 3" in sentence for sentence in check_chain(log))


def test_an_entry_left_out_is_found(log: list[AuditEntry]) -> None:
    assert check_chain(log[:2] + log[3:]) == ["audit entry 3 is missing."]


def test_two_entries_changed_places(log: list[AuditEntry]) -> None:
    log[1], log[2] = log[2], log[1]
    assert check_chain(log)


def test_a_log_that_was_cut_or_forged_as_a_whole_lacks_its_anchor(log: list[AuditEntry]) -> None:
    assert check_chain(log[:4]) == [], "the chain alone cannot tell"
    assert "cut or written anew" in check_chain(log[:4], anchor=log[5].digest)[0]


def test_a_clock_that_goes_back_is_noted_and_breaks_nothing(
    log: list[AuditEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(audit_log.datetime):  # type: ignore[misc, name-defined]
        @classmethod
        def now(cls, tz: object = None) -> audit_log.datetime:  # type: ignore[name-defined]
            return audit_log.datetime(1999, 1, 1, tzinfo=audit_log.UTC)  # type: ignore[attr-defined]

    monkeypatch.setattr(audit_log, "datetime", Clock)
    log.append(next_entry(log[-1], "remove", "0" * 32, {"images": 1}))
    assert log[-1].time.startswith("1999")
    assert log[-1].sequence == 7
    assert check_chain(log) == []
    assert clock_steps(log) == [7]
