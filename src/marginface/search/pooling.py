"""Several images of a person become one template: the mean of the unit embeddings, weighted by quality.

With the norm as quality this is the sum of the raw embeddings, the pooling of MagFace (Meng et al., CVPR 2021) and
AdaFace (Kim et al., CVPR 2022): images in which the network is sure count for more.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.search.settings import Vectors


def pool(unit: npt.ArrayLike, qualities: npt.ArrayLike) -> Vectors:
    """Return the template (D,) float32 of length 1.

    Args:
        unit: (n, D) embeddings of length 1.
        qualities: (n,) weights; those of at most 0 count as the least positive share, 1e-6 of the largest.

    Raises:
        InputError: the images cancel each other out: they cannot be one person.
    """
    rows = np.asarray(unit, dtype=np.float64)
    weights = np.asarray(qualities, dtype=np.float64)
    weights = np.maximum(weights, 1e-6 * max(float(weights.max()), 1e-30))
    total = (rows * (weights / weights.sum())[:, None]).sum(axis=0)
    length = float(np.sqrt((total * total).sum()))
    if length < 1e-6:
        raise InputError("these images point in opposite directions; they cannot be of one person.")
    return np.asarray(total / length, dtype=np.float32)
