"""What a service counts, in Prometheus' text format 0.0.4: numbers only, nothing of a person."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BATCHES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Counters, histograms and gauges; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, Labels], float] = {}
        self._histograms: dict[tuple[str, Labels], _Histogram] = {}
        self._gauges: dict[str, Callable[[], float]] = {}

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Add to a counter."""
        key = (name, tuple(labels.items()))
        with self._lock:
            self._counts[key] = self._counts.get(key, 0.0) + amount

    def observe(self, name: str, value: float, bounds: Sequence[float], **labels: str) -> None:
        """Add a value to a histogram."""
        key = (name, tuple(labels.items()))
        with self._lock:
            if key not in self._histograms:
                self._histograms[key] = _Histogram(tuple(bounds))
            self._histograms[key].add(value)

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        """Have a value read whenever somebody asks."""
        self._gauges[name] = read

    def text(self) -> str:
        """Return everything."""
        with self._lock:
            lines = [
                (name, "counter", [f"{name}{_braces(labels)} {value:g}"])
                for (name, labels), value in self._counts.items()
            ]
            lines += [(name, "histogram", one.lines(name, labels)) for (name, labels), one in self._histograms.items()]
        lines += [(name, "gauge", [f"{name} {read():g}"]) for name, read in self._gauges.items()]
        told: list[str] = []
        kind_of: dict[str, str] = {}
        for name, kind, values in sorted(lines, key=lambda line: line[0]):
            if name not in kind_of:
                told.append(f"# TYPE {name} {kind}")
                kind_of[name] = kind
            told += values
        return "\n".join(told) + "\n"


class _Histogram:
    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds, self.sum = bounds, 0.0
        self.counts = [0] * (len(bounds) + 1)

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def lines(self, name: str, labels: Labels) -> list[str]:
        told, below = [], 0
        for bound, count in zip((*(f"{b:g}" for b in self.bounds), "+Inf"), self.counts, strict=True):
            below += count
            told.append(f"{name}_bucket{_braces((*labels, ('le', bound)))} {below}")
        return [*told, f"{name}_sum{_braces(labels)} {self.sum:g}", f"{name}_count{_braces(labels)} {below}"]


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
