"""Embeddings and pairs become scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.metrics import VerificationSummary, summarise
from marginface.protocols.pair_scores import pair_scores
from marginface.protocols.pairs import Pairs
from marginface.protocols.templates import rows_of
from marginface.records.embedding_table import EmbeddingTable


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Scores of the pairs of one protocol, in the protocol's order."""

    name: str
    score: npt.NDArray[np.float32]
    """(P,) cosine in [-1, 1], higher is more alike; a match is `score >= threshold`."""
    mated: npt.NDArray[np.bool_]
    left: npt.NDArray[np.integer]
    """(P,) positions in the embedding table."""
    right: npt.NDArray[np.integer]
    identity_left: npt.NDArray[np.int64]
    """(P,) labels of the table, or the protocol's own numbers of people."""
    identity_right: npt.NDArray[np.int64]
    fold: npt.NDArray[np.int64] | None = None
    num_left_out: int = 0
    """Pairs of the protocol that are absent because an image of theirs has no embedding."""

    def __len__(self) -> int:
        return len(self.score)

    def summarise(self, **settings: Any) -> VerificationSummary:
        """Return `metrics.summarise` of these scores; `settings` are its keyword arguments."""
        return summarise(
            self.score,
            self.mated,
            identity_left=self.identity_left,
            identity_right=self.identity_right,
            folds=self.fold,
            **settings,
        )

    def hardest(self, num_pairs: int, *, mated: bool) -> npt.NDArray[np.int64]:
        """Return positions of the lowest mated or the highest non-mated scores, hardest first."""
        found = np.flatnonzero(self.mated == mated)
        score = self.score[found] if mated else -self.score[found]
        return found[np.argsort(score, kind="stable")[:num_pairs]]


def compare(
    table: EmbeddingTable, pairs: Pairs, *, keys: Sequence[str] | None = None, allow_missing: bool = False
) -> Comparisons:
    """Return the cosine of each pair.

    Products and sums are float32; with 512 dimensions a score carries an error of about 1e-7, so a pair within that of
    a threshold may fall on either side on another machine.

    Args:
        table: embeddings with keys and labels.
        pairs: positions in `keys`.
        keys: of the source that the pairs were made for; None where they were made for the table itself. Needed where
            the table lacks images that could not be decoded: pairs are matched to it by key.
        allow_missing: leave out the pairs of images that the table lacks, and count them in `num_left_out`.

    Raises:
        InputError: an image of a pair has no embedding (unless allowed), or no pair is left.
    """
    left, right, kept = pairs.left, pairs.right, np.ones(len(pairs), np.bool_)
    if keys is not None:
        left, right = rows_of(table, np.stack([left, right]), keys)
        kept = (left >= 0) & (right >= 0)
        if not kept.all() and not allow_missing:
            absent = np.unique(np.concatenate([pairs.left[left < 0], pairs.right[right < 0]]))
            raise InputError(_missing(pairs, [keys[i] for i in absent.tolist()]))
    elif len(pairs) and max(left.max(), right.max()) >= len(table.labels):
        raise ValueError(f"{pairs.name} points beyond the {len(table.labels)} embeddings; give the keys of its source.")
    if not kept.any():
        raise InputError(f"{pairs.name}: there is no pair with both embeddings; nothing can be compared.")
    left, right = left[kept], right[kept]
    people = (table.labels[left], table.labels[right])
    if pairs.person is not None:
        people = (pairs.person[pairs.left[kept]], pairs.person[pairs.right[kept]])
    return Comparisons(
        name=pairs.name,
        score=_scores(table, left, right),
        mated=pairs.mated[kept],
        left=left,
        right=right,
        identity_left=people[0],
        identity_right=people[1],
        fold=None if pairs.fold is None else pairs.fold[kept],
        num_left_out=int(len(pairs) - kept.sum()),
    )


def _scores(
    table: EmbeddingTable, left: npt.NDArray[np.integer], right: npt.NDArray[np.integer]
) -> npt.NDArray[np.float32]:
    """Return cosines; of a table that is much larger than what is compared, only those rows are normalised."""
    used = np.zeros(len(table), np.bool_)
    used[left] = used[right] = True
    rows = np.flatnonzero(used)
    if 2 * len(rows) > len(table):
        return pair_scores(table.unit, left, right)
    place = np.cumsum(used) - 1
    lengths = np.maximum(table.norms[rows], np.finfo(np.float32).tiny)[:, None]
    unit = np.asarray(table.vectors[rows] / lengths, np.float32)
    return pair_scores(unit, place[left], place[right])


def _missing(pairs: Pairs, absent: Sequence[str]) -> str:
    named = ", ".join(absent[:3]) + (f" and {len(absent) - 3:,} more" if len(absent) > 3 else "")
    return (
        f"{pairs.name}: {len(absent):,} images of its pairs have no embedding ({named}), perhaps being broken: "
        "repair them, or allow missing images to leave their pairs out and have them counted."
    )
