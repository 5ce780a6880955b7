"""A line of JSON for each request, without anything that came from a face.

No image, no vector, no score, no name, no address as it is: callers appear by the id of their key, or by a hash of
their address under a random key that lives as long as the process, so that a line cannot be led back to a person.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
from datetime import UTC, datetime

logger = logging.getLogger("marginface.serve")
_HASH_KEY_BYTES = 16


class RequestLog:
    """Writes the lines."""

    def __init__(self) -> None:
        self._hash_key = secrets.token_bytes(_HASH_KEY_BYTES)

    def caller(self, address: str) -> str:
        """Return what stands for an address in the log."""
        return "a-" + hashlib.blake2b(address.encode(), key=self._hash_key, digest_size=4).hexdigest()

    def write(self, event: str, *, level: int = logging.INFO, **fields: str | float | int | None) -> None:
        """Write one line."""
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields}
        logger.log(level, "%s", json.dumps(line, ensure_ascii=True))
