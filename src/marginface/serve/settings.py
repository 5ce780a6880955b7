"""What a service allows."""

from __future__ import annotations

import os
from dataclasses import dataclass

from marginface.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """Limits and habits of a service; the defaults suit one machine with photographs from telephones."""

    fmr: float = 1e-4
    """False match rate of one comparison where a request names none."""
    threshold: float | None = None
    """A cosine instead, for models whose card has no thresholds."""
    max_request_bytes: int = 32 << 20
    """A larger request is refused before it is read to the end."""
    max_bytes_in_flight: int = 256 << 20
    """Bodies of all requests that are being served; beyond it newcomers are told to come back."""
    max_photographs: int = 16
    """In one request."""
    max_pixels: int = 40_000_000
    """Width times height of a photograph, refused by its header."""
    max_requests: int = 128
    """Served at the same time; beyond it newcomers are told to come back."""
    requests_per_second: float = 50.0
    """That one key, or without keys one address, may go on making; 0 sets no limit."""
    burst: int = 100
    """Requests at once before that rate holds."""
    timeout_seconds: float = 30.0
    """From the first byte of a request to its answer."""
    stop_seconds: float = 20.0
    """Time that running requests have when the service is stopped."""
    max_batch: int = 32
    """Faces that go through the model together."""
    max_wait_seconds: float = 0.002
    """How long a face waits for others, while the model has nothing to do."""
    max_faces_waiting: int = 2048
    """For the model; beyond it newcomers are told to come back."""
    workers: int = os.cpu_count() or 1
    """Photographs that are decoded and looked at in the same moment."""

    def __post_init__(self) -> None:
        for name in ("max_request_bytes", "max_bytes_in_flight", "max_photographs", "max_pixels", "max_requests"):
            self._at_least_one(name)
        for name in ("burst", "max_batch", "max_faces_waiting", "workers"):
            self._at_least_one(name)
        if not 0 < self.fmr < 1:
            raise InputError(f"fmr is {self.fmr:g}; a rate lies between 0 and 1.")
        if self.threshold is not None and not -1 <= self.threshold <= 1:
            raise InputError(f"threshold is {self.threshold:g}; it is a cosine, from -1 to 1.")
        if self.requests_per_second < 0 or self.max_wait_seconds < 0:
            raise InputError("requests_per_second and max_wait_seconds cannot be negative.")
        if self.timeout_seconds <= 0 or self.stop_seconds <= 0:
            raise InputError("timeout_seconds and stop_seconds must be positive.")

    def _at_least_one(self, name: str) -> None:
        if getattr(self, name) < 1:
            raise InputError(f"{name} is {getattr(self, name)}; it must be at least 1.")
