"""Cosines of listed pairs: gathered where pairs are few, cut out of matrix products where they are dense.

IJB-C compares 3,531 gallery templates with most of 19,593 probes. Gathering both vectors of each of 15.7 million pairs
moves 64 GB; the whole product of the two sets is 71 GFLOP and its blocks stay in cache, so it is computed and the
listed cells are read off.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]

GATHER_BYTES = 2**21
"""Of gathered vectors a side: two such blocks stay in cache."""
BLOCK_CELLS = 5_000_000
"""Of a block of products, 20 MB: rows enough to keep the product near its peak, and cells are read from cache."""
DENSE_SHARE = 1 / 64
"""Share of listed cells from which a product is cheaper than gathering: a gathered pair costs some 1,000 ns, a cell of
a product some 10."""
MANY_PAIRS = 1_000_000
"""Below it all are gathered: a second at most, and a pair's score does not depend on which others are listed."""


def pair_scores(unit: Float32, left: npt.NDArray[np.integer], right: npt.NDArray[np.integer]) -> Float32:
    """Return (P,) cosines in [-1, 1] of rows `left` and `right` of (N, D) unit vectors.

    Both ways sum in float32 and may differ by some 1e-7: a pair within that of a threshold may fall on either side.
    """
    if not len(left):
        return np.empty(0, np.float32)
    left_ids, left_place = _used(len(unit), left)
    right_ids, right_place = _used(len(unit), right)
    if len(left_ids) > len(right_ids):  # the cosine does not mind, and the longer side makes longer rows
        left, right = right, left
        left_ids, left_place, right_ids, right_place = right_ids, right_place, left_ids, left_place
    if len(left) < MANY_PAIRS or len(left) < DENSE_SHARE * len(left_ids) * len(right_ids):
        score = _gathered(unit, left, right)
    else:
        score = _from_products(unit[left_ids], unit[right_ids], left_place[left], right_place[right])
    return np.clip(score, -1.0, 1.0, out=score)  # rounding leaves 1.0000001


def _used(num: int, ids: npt.NDArray[np.integer]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return which ids occur, ascending, and for each id its place among them."""
    occurs = np.zeros(num, np.bool_)
    occurs[ids] = True
    return np.flatnonzero(occurs), np.cumsum(occurs, dtype=np.int32) - 1


def _gathered(unit: Float32, left: npt.NDArray[np.integer], right: npt.NDArray[np.integer]) -> Float32:
    score = np.empty(len(left), np.float32)
    chunk = max(1, GATHER_BYTES // (unit.shape[1] * unit.itemsize))
    for start in range(0, len(left), chunk):
        part = slice(start, start + chunk)
        np.einsum("pd,pd->p", unit[left[part]], unit[right[part]], out=score[part])
    return score


def _from_products(
    left_unit: Float32, right_unit: Float32, left: npt.NDArray[np.int32], right: npt.NDArray[np.int32]
) -> Float32:
    """Return the cells (left, right) of `left_unit @ right_unit.T`, block of rows by block of rows."""
    num_columns = len(right_unit)
    rows = max(1, min(len(left_unit), BLOCK_CELLS // num_columns))
    order = None
    if (left[1:] < left[:-1]).any():
        order = np.argsort((left // rows).astype(np.uint16), kind="stable")  # 16 bits: numpy sorts them by radix
        left, right = left[order], right[order]
        bounds = np.searchsorted(left // rows, np.arange(-(-len(left_unit) // rows) + 1))
    else:
        bounds = np.searchsorted(left, np.arange(0, len(left_unit) + rows, rows))
    score = np.empty(len(left), np.float32)
    block = np.empty((rows, num_columns), np.float32)
    for number, first in enumerate(range(0, len(left_unit), rows)):
        taken = left_unit[first : first + rows]
        np.matmul(taken, right_unit.T, out=block[: len(taken)])
        part = slice(bounds[number], bounds[number + 1])
        cell = (left[part] - first).astype(np.int64) * num_columns + right[part]
        np.take(block.reshape(-1), cell, out=score[part], mode="clip")  # "raise" would copy `out`
    if order is None:
        return score
    in_order = np.empty_like(score)
    in_order[order] = score
    return in_order
