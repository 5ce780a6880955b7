"""Random numbers with an address: they depend on what they are for, and on nothing else.

So neither the number of worker processes, nor the rank that meets an image, nor a resume can change them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


def uniform(*address: int, stream: int) -> float:
    """Return a number in [0, 1) that depends on the address and the stream only.

    SplitMix64's finaliser (Steele, Lea and Flood, OOPSLA 2014), applied once per part of the address. It costs
    four microseconds, where seeding a numpy generator for every image costs 35.

    Args:
        address: what the draw is for, such as (seed, epoch, index); any integers.
        stream: which of several draws at the same address this is; each operation has its own.
    """
    return _unit(_state(*address, stream))


def uniforms(
    seed: int, epochs: npt.NDArray[np.int64], indices: npt.NDArray[np.int64], *, stream: int
) -> npt.NDArray[np.float64]:
    """Return (B,) numbers: `uniform(seed, epoch, index, stream=stream)` of each image, for a batch at once."""
    return units(in_stream(addressed(seed, epochs, indices), stream))


def addressed(seed: int, epochs: npt.NDArray[np.int64], indices: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Return (B,) states of the addresses (seed, epoch, index), from which each stream is one step away."""
    state = np.full(len(indices), _state(seed), dtype=np.uint64)
    for part in (epochs.astype(np.uint64), indices.astype(np.uint64)):
        state = mixed_words((state ^ part) + np.uint64(_GOLDEN))
    return state


def in_stream(states: npt.NDArray[np.uint64], stream: int) -> npt.NDArray[np.uint64]:
    """Return (B,) where the draws of a stream begin at these addresses; `Draws.starting_at` goes on from there."""
    return mixed_words((states ^ np.uint64(stream & _MASK)) + np.uint64(_GOLDEN))


def units(states: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """Return numbers in [0, 1), in the shape of the states."""
    return (states >> np.uint64(11)).astype(np.float64) * 2.0**-53


def mixed_words(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return uint64 words in which every bit depends on every bit: the last steps of SplitMix64."""
    for shift, factor in _MIX:
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    return state ^ (state >> np.uint64(31))


class Draws:
    """The numbers that belong to one address, one after another, as many as are asked for."""

    def __init__(self, *address: int) -> None:
        self._state = _state(*address)

    @classmethod
    def starting_at(cls, state: int) -> Draws:
        """Return the draws of the address whose state has been computed, with those of its batch, by `in_stream`."""
        draws = cls.__new__(cls)
        draws._state = state
        return draws

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Return a number in [low, high)."""
        self._state = (self._state + _GOLDEN) & _MASK  # SplitMix64's own step from draw to draw
        return low + (high - low) * _unit(_mixed(self._state))

    def integer(self, low: int, high: int) -> int:
        """Return one of low, low + 1, ..., high."""
        return low + int(self.uniform() * (high - low + 1))

    def one_of(self, choices: Sequence[T]) -> T:
        """Return one of the choices, each as likely as the others."""
        return choices[self.integer(0, len(choices) - 1)]

    def sign(self) -> int:
        """Return -1 or 1."""
        return -1 if self.uniform() < 0.5 else 1

    def order(self, num: int) -> list[int]:
        """Return 0..num-1 in one of the num! orders (Fisher and Yates)."""
        order = list(range(num))
        for last in range(num - 1, 0, -1):
            other = self.integer(0, last)
            order[last], order[other] = order[other], order[last]
        return order


def _state(*address: int) -> int:
    state = 0
    for part in address:
        state = _mixed((state ^ (part & _MASK)) + _GOLDEN)
    return state


def _mixed(state: int) -> int:
    state &= _MASK
    for shift, factor in _MIX:
        state = ((state ^ (state >> shift)) * factor) & _MASK
    return state ^ (state >> 31)


def _unit(state: int) -> float:
    return (state >> 11) * 2.0**-53
