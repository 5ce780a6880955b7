"""Probes are searched in galleries of any size, block by block: ranks are counted, never sorted.

A rank is one plus the number of other people's entries that score at least as high as the mate. So a block of products
is looked at twice, for its highest score a probe and, only where that reaches a mate's, for the count; nothing of the
size probes x gallery is ever held.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.metrics.all_pairs import BinCounter
from marginface.metrics.identification import SearchScores
from marginface.protocols.pair_scores import pair_scores

Float32 = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]
"""Called with (gallery entries searched, entries in all)."""

NOBODY = -1
"""The person of a distractor: nobody's mate."""
TIE = 1e-6
"""Scores nearer than this are ties: the same product in another order of sums may differ by some 1e-7."""
PROBES, ENTRIES = 512, 8192
"""Of a block of products, 16 MB."""


@dataclass(frozen=True, eq=False)
class Gallery:
    """Entries to search: rows of an array that may be mapped from disk."""

    vectors: Float32
    """(N, D) of any length but 0; normalised a block at a time."""
    rows: npt.NDArray[np.int64]
    """(G,) which of them are enrolled."""
    person: npt.NDArray[np.int64]
    """(G,) who each entry is, or `NOBODY`."""

    def __len__(self) -> int:
        return len(self.rows)

    def unit(self, part: slice) -> Float32:
        """Return the entries of a slice with length 1."""
        taken = np.array(self.vectors[self.rows[part]], dtype=np.float32)
        taken /= np.maximum(np.linalg.norm(taken, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return taken


@dataclass(frozen=True, eq=False)
class Ahead:
    """What counting found."""

    num_ahead: npt.NDArray[np.int64]
    """(M,) entries of other people that score at least as high, for each given score."""
    highest: Float32
    """(Q,) the highest score of other people's entries; -1 where there are none."""


def search_gallery(
    name: str,
    probe: Gallery,
    gallery: Gallery,
    *,
    all_mates: bool = False,
    progress: Progress | None = None,
) -> SearchScores:
    """Return rank, mate score and highest non-mate score of each probe.

    Args:
        name: of the gallery.
        probe: (Q,) what is searched; every probe is somebody.
        gallery: (G,) what it is searched in; distractors are `NOBODY`.
        all_mates: give the average precision over all mates of a probe too.
        progress: called after each block of the gallery.

    Raises:
        InputError: no probes, an empty gallery, or entries of no one else for a probe to be mistaken for.
    """
    if not len(probe) or not len(gallery):
        raise InputError(f"{name}: {len(probe):,} probes and {len(gallery):,} gallery entries; both are needed.")
    probe_unit = probe.unit(slice(None))
    searcher, entry = mates_of(probe.person, gallery.person)
    ids, place = np.unique(entry, return_inverse=True)
    both = np.concatenate([probe_unit, gallery_rows(gallery, ids)])
    score = pair_scores(both, searcher, len(probe_unit) + place)
    found = count_ahead(probe_unit, gallery, searcher, score, excluded=(searcher, entry), progress=progress)
    if (found.highest < -1).any():
        raise InputError(
            f"{name}: the gallery holds nobody but the probe's own person; there is nothing to tell apart."
        )
    order = np.lexsort((-score, searcher))  # each probe's best mate first
    first = order[np.flatnonzero(np.diff(searcher[order], prepend=-1))]
    rank, mate_score = np.zeros(len(probe), np.int64), np.zeros(len(probe), np.float32)
    rank[searcher[first]] = 1 + found.num_ahead[first]
    mate_score[searcher[first]] = score[first]
    return SearchScores(
        name=name,
        person=probe.person,
        rank=rank,
        mate_score=mate_score,
        non_mate_score=found.highest,
        average_precision=_average_precision(searcher[order], found.num_ahead[order], len(probe))
        if all_mates
        else None,
        num_entries=len(gallery),
        num_distractors=int((gallery.person == NOBODY).sum()),
    )


def mates_of(
    probe_person: npt.NDArray[np.int64], gallery_person: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return (M,) probes and (M,) entries of all couples that are one person, probe by probe."""
    order = np.argsort(gallery_person, kind="stable")
    people = gallery_person[order]
    start, end = np.searchsorted(people, probe_person, "left"), np.searchsorted(people, probe_person, "right")
    count = np.where(probe_person == NOBODY, 0, end - start)
    searcher = np.repeat(np.arange(len(probe_person)), count)
    offset = np.arange(len(searcher)) - np.repeat(np.cumsum(count) - count, count)
    return searcher, order[np.repeat(start, count) + offset]


def gallery_rows(gallery: Gallery, entries: npt.NDArray[np.int64]) -> Float32:
    """Return the unit vectors of some entries."""
    return Gallery(gallery.vectors, gallery.rows[entries], gallery.person[entries]).unit(slice(None))


def count_ahead(
    probe_unit: Float32,
    gallery: Gallery,
    searcher: npt.NDArray[np.int64],
    score: Float32,
    *,
    excluded: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None,
    counter: BinCounter | None = None,
    progress: Progress | None = None,
) -> Ahead:
    """Return how many entries score at least `score[m]` against probe `searcher[m]`, and each probe's highest score.

    Args:
        probe_unit: (Q, D).
        gallery: searched once, a block at a time.
        searcher: (M,) probe of each score.
        score: (M,) the scores to be ranked.
        excluded: couples (probe, entry) that do not count, being mates.
        counter: counts the scores of all probes with all entries, where nothing is excluded.
        progress: called after each block of the gallery.
    """
    order = np.lexsort((-score, searcher))
    depth = np.arange(len(order)) - np.searchsorted(searcher[order], searcher[order], "left")
    # row q, column k: the k-th best score of probe q, less the tie; infinite beyond its last
    bars = np.full((len(probe_unit), int(depth.max()) + 1 if len(depth) else 1), np.inf, np.float32)
    bars[searcher[order], depth] = score[order] - TIE
    ahead = np.zeros(bars.shape, np.int64)
    highest = np.full(len(probe_unit), -2.0, np.float32)
    without = _Excluded(excluded, len(gallery))
    products = np.empty((PROBES, ENTRIES), np.float32)
    for first in range(0, len(gallery), ENTRIES):
        entries = gallery.unit(slice(first, first + ENTRIES))
        for start in range(0, len(probe_unit), PROBES):
            block = probe_unit[start : start + PROBES]
            made = products[: len(block), : len(entries)]
            np.matmul(block, entries.T, out=made)
            if counter is not None:
                counter.add(made)
            without.clear(made, start, first)
            best = made.max(axis=1)
            rows = slice(start, start + len(block))
            np.maximum(highest[rows], best, out=highest[rows])
            for k in range(bars.shape[1]):
                beaten = np.flatnonzero(best >= bars[rows, k])
                ahead[start + beaten, k] += np.count_nonzero(made[beaten] >= bars[start + beaten, k, None], axis=1)
        if progress is not None:
            progress(min(first + ENTRIES, len(gallery)), len(gallery))
    num_ahead = np.empty(len(searcher), np.int64)
    num_ahead[order] = ahead[searcher[order], depth]
    return Ahead(num_ahead, np.minimum(highest, np.float32(1)))


class _Excluded:
    """Couples that do not count, found again block by block."""

    def __init__(self, couples: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None, num_entries: int) -> None:
        probe, entry = couples if couples is not None else (np.empty(0, np.int64), np.empty(0, np.int64))
        order = np.lexsort((probe, entry // ENTRIES))
        self.probe, self.entry = probe[order], entry[order]
        self.bounds = np.searchsorted(self.entry // ENTRIES, np.arange(-(-num_entries // ENTRIES) + 1))

    def clear(self, products: Float32, first_probe: int, first_entry: int) -> None:
        """Set the excluded cells of a block below every score."""
        low, high = self.bounds[first_entry // ENTRIES : first_entry // ENTRIES + 2]
        start, end = low + np.searchsorted(self.probe[low:high], (first_probe, first_probe + len(products)))
        products[self.probe[start:end] - first_probe, self.entry[start:end] - first_entry] = -2.0


def _average_precision(
    searcher: npt.NDArray[np.int64], num_ahead: npt.NDArray[np.int64], num_probes: int
) -> npt.NDArray[np.float64]:
    """Return the mean over a probe's mates of (mates up to it) / (entries up to it), mates in descending score."""
    place = 1 + np.arange(len(searcher)) - np.searchsorted(searcher, searcher, "left")
    precision = np.bincount(searcher, weights=place / (place + num_ahead), minlength=num_probes)
    mates = np.bincount(searcher, minlength=num_probes)
    return np.asarray(np.divide(precision, mates, out=np.zeros(num_probes), where=mates > 0))
