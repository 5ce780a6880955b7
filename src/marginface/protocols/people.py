"""Who is who where a protocol names nobody: comparisons that are mated tie their two sides together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


def people_of_pairs(
    num: int, left: npt.NDArray[np.integer], right: npt.NDArray[np.integer], mated: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Return (num,) a number for each person: all that mated pairs connect is one, everything else is by itself.

    Some people may so count as several, and intervals over people be a little too narrow; nobody is merged.

    Example:
        >>> people_of_pairs(4, np.array([0, 1]), np.array([2, 3]), np.array([True, False])).tolist()
        [0, 1, 0, 2]
    """
    ties = coo_matrix((np.ones(int(mated.sum()), np.bool_), (left[mated], right[mated])), shape=(num, num))
    return np.asarray(connected_components(ties, directed=False)[1], np.int64)
