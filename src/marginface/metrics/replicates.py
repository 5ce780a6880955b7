"""Numbers computed again and again on people who are drawn again: what the intervals of several metrics share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from marginface.metrics.intervals import Interval, effective_wilson, expanded_tail, normal_quantile, wider, wilson

Array = npt.NDArray
Resample = Literal["people", "images"]


@dataclass(frozen=True)
class Estimate:
    """A number with its interval."""

    value: float
    interval: Interval | None
    """None without replicates."""


@dataclass(frozen=True)
class CountedRate:
    """A share of trials with its counts and its interval."""

    value: float
    """0..1."""
    successes: int
    trials: int
    interval: Interval


def counted_rate(
    successes: int, trials: int, replicates: Array, *, num_people: int, confidence: float, value: float | None = None
) -> CountedRate:
    """Return a rate whose interval is the wider, end by end, of Wilson's and of its replicates over people.

    Wilson's is that of the effective number of trials that varies as the replicates do; percentiles alone lean the
    wrong way where few errors of few people decide.

    Args:
        successes: how often it happened.
        trials: how often it could have, at least once.
        replicates: (R,) the rate among people drawn again; none leaves Wilson's.
        num_people: that were drawn again; few widen the percentiles.
        confidence: of the interval.
        value: the rate where it is not `successes / trials`, as with an average over galleries.
    """
    share = successes / trials if value is None else value
    interval = wilson(share * trials, trials, confidence)
    found = np.asarray(replicates, dtype=np.float64)
    found = found[np.isfinite(found)]
    if len(found):
        alone = share * (1 - share) / trials
        effect = float(found.var()) / alone if alone else 1.0
        interval = effective_wilson(share, trials, design_effect=effect, num_units=num_people, confidence=confidence)
        interval = wider(interval, expanded_percentiles(found[:, None], confidence, num_people)[0])
    return CountedRate(share, successes, trials, interval)


def drawn_times(num_people: int, replicate: int, seed: int) -> npt.NDArray[np.int64]:
    """Return (P,) how often each person comes in a replicate: as many draws as people, with replacement."""
    draws = np.random.default_rng((seed, replicate)).integers(num_people, size=num_people)
    return np.bincount(draws, minlength=num_people)


@dataclass(frozen=True, eq=False)
class Drawn:
    """How often each image counts, how often its person was drawn, and whether its class is one person."""

    weight_N: Array
    times_N: Array
    one_person_N: Array


class Draws:
    """The same images drawn again and again; people of known classes and strangers each among themselves."""

    def __init__(self, people_N: Array, is_unknown_N: Array, resample: Resample, num: int, seed: int) -> None:
        if resample not in ("people", "images"):
            raise ValueError(f"resample is {resample!r}; it is 'people' or 'images'")
        self.person_N = np.unique(people_N, return_inverse=True)[1]
        self.is_unknown_N, self.resample, self.num, self.seed = is_unknown_N, resample, num, seed
        ones = np.ones(len(self.person_N))
        self.all_once = Drawn(ones, ones, ~is_unknown_N)

    def of(self, statistic: Callable[[Drawn], Array]) -> Array:
        """Return (R, K) values of a statistic of K numbers."""
        values = [statistic(self._drawn(replicate)) for replicate in range(self.num)]
        return np.array(values) if values else np.empty((0, len(statistic(self.all_once))))

    def _drawn(self, replicate: int) -> Drawn:
        rng = np.random.default_rng((self.seed, replicate))
        num_people = int(self.person_N.max()) + 1
        if self.resample == "people":
            times_P = np.zeros(num_people)
            for group in (~self.is_unknown_N, self.is_unknown_N):
                members = np.unique(self.person_N[group])
                if members.size:
                    times_P += np.bincount(rng.choice(members, size=members.size), minlength=num_people)
            times_N = times_P[self.person_N]
            return Drawn(times_N, times_N, self.all_once.one_person_N)
        order = np.argsort(self.person_N, kind="stable")
        size_P = np.bincount(self.person_N, minlength=num_people)
        first_N = np.repeat(np.cumsum(size_P) - size_P, size_P)
        drawn = order[first_N + (rng.random(len(order)) * np.repeat(size_P, size_P)).astype(np.int64)]
        weight_N = np.bincount(drawn, minlength=len(order)).astype(np.float64)
        return replace(self.all_once, weight_N=weight_N)


def percentiles(replicates: Array, confidence: float, resample: Resample) -> list[Interval | None]:
    """Return the percentile interval of each column of (R, K) replicates; None where there are none."""
    normal_quantile(confidence)  # refuses what is outside (0, 1)
    if not len(replicates):
        return [None] * replicates.shape[1]
    tail = (1 - confidence) / 2
    ends = np.quantile(replicates, [tail, 1 - tail], axis=0)
    method: Literal["identity bootstrap", "image bootstrap"] = (
        "identity bootstrap" if resample == "people" else "image bootstrap"
    )
    return [Interval(float(low), float(high), confidence, method) for low, high in ends.T]


def expanded_percentiles(replicates: Array, confidence: float, num_people: int) -> list[Interval]:
    """Return the percentile interval of each column of (R, K) replicates over people, wider where people are few."""
    tail = expanded_tail(confidence, num_people)
    ends = np.quantile(replicates, [tail, 1 - tail], axis=0)
    return [Interval(float(low), float(high), confidence, "identity bootstrap") for low, high in ends.T]


def wider_of(by_wilson: Interval, by_bootstrap: Interval | None) -> Interval:
    """Return the wider of both, end by end, with the name of what was resampled; Wilson's where there is no other."""
    if by_bootstrap is None:
        return by_wilson
    both = wider(by_wilson, by_bootstrap)
    if by_bootstrap.method == "image bootstrap":
        both = replace(both, method="wider of wilson and image bootstrap")
    return both
