"""The scores of evaluations as files for auditors and other tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from marginface.protocols.score_files import ScoreFile, write_scores

from .comparison import Evaluation
from .identify import Identification


def write_all_scores(
    judged: Sequence[Evaluation | Identification], places: Mapping[tuple[str, str], Path]
) -> list[Path]:
    """Write the scores of all comparisons, each to its place by system and set, and return the paths.

    Searches have more scores than files should hold, and no place.
    """
    return [
        write_scores_of(one, places[one.system, one.name])
        for one in judged
        if isinstance(one, Evaluation) and (one.system, one.name) in places
    ]


def write_scores_of(judged: Evaluation, path: Path) -> Path:
    """Write the scores of comparisons as CSV and return the path."""
    comparisons, table = judged.comparisons, judged.table
    people = [table.identities[label] for label in table.labels.tolist()]

    def named(of: Sequence[str], side: npt.NDArray[np.integer]) -> tuple[str, ...]:
        return tuple(of[i] for i in side.tolist())

    found = ScoreFile(
        np.asarray(comparisons.score, np.float64),
        comparisons.mated,
        left=named(table.keys, comparisons.left),
        right=named(table.keys, comparisons.right),
        identity_left=named(people, comparisons.left),
        identity_right=named(people, comparisons.right),
        fold=comparisons.fold,
    )
    return write_scores(path, found)[0]
