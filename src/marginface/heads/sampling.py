"""Which classes a sampled head looks at in a step: those of the batch, and others drawn at random.

An et al., "Killing two birds with one stone: efficient and robust training of face recognition CNNs by Partial FC",
CVPR 2022, arXiv:2203.15565.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def choose_classes(
    positives: npt.NDArray[np.int64], num_classes: int, rate: float, *, address: tuple[int, ...]
) -> npt.NDArray[np.int64]:
    """Return the classes that take part, ascending: all positives, and others up to int(rate * num_classes) in all.

    Args:
        positives: (P,) classes of the batch, ascending, each once.
        num_classes: C, those to draw from; classes are 0..C-1.
        rate: share of the classes that takes part, in [0, 1]; where the positives are more, they are all there is.
        address: whole numbers that the draw is a function of (seed, step, shard).
    """
    num_others = max(int(rate * num_classes) - len(positives), 0)
    num_free = num_classes - len(positives)
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(address)))
    drawn = np.sort(generator.choice(num_free, size=min(num_others, num_free), replace=False, shuffle=False))
    # The k-th class that is no positive is k plus the number of positives before it.
    others = drawn + np.searchsorted(positives - np.arange(len(positives)), drawn, side="right")
    chosen: npt.NDArray[np.int64] = np.sort(np.concatenate([positives, others]))
    return chosen
