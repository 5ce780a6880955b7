"""A request that is not served, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping


class Refused(Exception):  # noqa: N818 - it is an answer, not an error of ours
    """Ends a request with a 4xx, or a 503 that asks to come back."""

    def __init__(self, status: int, sentence: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, dict(headers or {})


def busy(what: str) -> Refused:
    """Return the refusal of a service that has too much to do."""
    return Refused(503, f"{what}; try again in a moment.", headers={"Retry-After": "1"})
