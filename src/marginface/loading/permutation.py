"""A shuffle of many millions that is never written down: each place is computed when it is asked for.

numpy takes 10 seconds to shuffle 42 million numbers here, nearly all of it waiting for memory. A Feistel network (Luby
and Rackoff, 1988) is a permutation of 0..4^h - 1 whatever its round function; numbers beyond N are sent through again
until they fall below it, which keeps it a permutation of 0..N-1 (Black and Rogaway, 2002, "cycle walking").
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from marginface.images.augmentation.draws import mixed_words

_ROUNDS = 6


class ComputedShuffle:
    """A pseudo-random order of 0..N-1 of constant size, whatever N."""

    def __init__(self, num: int, seed: np.random.SeedSequence) -> None:
        """Draw the keys of the rounds.

        Args:
            num: N, 1 to 2^62.
            seed: where the order comes from.
        """
        self._num = num
        self._half = np.uint64(max(1, -(-(num - 1).bit_length() // 2)))
        self._keys = seed.generate_state(_ROUNDS, np.uint64)

    def __len__(self) -> int:
        return self._num

    def __getitem__(self, places: slice) -> npt.NDArray[np.int64]:
        """Return the numbers at these places of the order."""
        numbers = self._once(np.arange(*places.indices(self._num), dtype=np.uint64))
        outside = np.flatnonzero(numbers >= self._num)
        while outside.size:
            numbers[outside] = self._once(numbers[outside])
            outside = outside[numbers[outside] >= self._num]
        return numbers.astype(np.int64)

    def _once(self, numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """Return the Feistel network's image of 0..4^h - 1."""
        low_bits = (np.uint64(1) << self._half) - np.uint64(1)
        left, right = numbers >> self._half, numbers & low_bits
        for key in self._keys:
            left, right = right, left ^ (mixed_words(right ^ key) & low_bits)
        return (left << self._half) | right
