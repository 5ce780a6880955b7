"""How often somebody may ask: a bucket of tokens each, filled at a steady rate."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

MOST_CALLERS = 10_000
"""Buckets kept; the one used longest ago is forgotten, which at worst makes it full again."""


class RateLimit:
    """Token buckets by caller; safe for threads."""

    def __init__(self, per_second: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Fill nothing yet.

        Args:
            per_second: tokens that a bucket gains; 0 sets no limit.
            burst: tokens that a bucket holds, which a newcomer has.
            clock: seconds.
        """
        self._per_second, self._burst, self._clock = per_second, burst, clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> float:
        """Take a token; return 0, or the seconds to wait for one where the bucket is empty."""
        if self._per_second == 0:
            return 0.0
        with self._lock:
            now = self._clock()
            tokens, last = self._buckets.pop(caller, (float(self._burst), now))
            tokens = min(self._burst, tokens + (now - last) * self._per_second)
            wait = 0.0 if tokens >= 1 else (1 - tokens) / self._per_second
            self._buckets[caller] = (tokens - 1 if tokens >= 1 else tokens, now)
            while len(self._buckets) > MOST_CALLERS:
                self._buckets.popitem(last=False)
            return wait
