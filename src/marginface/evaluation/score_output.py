"""The scores of an evaluation as a file for auditors and other tools."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.protocols.score_files import ScoreFile, write_scores

from .comparison import Evaluation
from .identify import Identification


def write_scores_of(judged: Evaluation | Identification, path: Path) -> Path:
    """Write the scores of comparisons as CSV and return the path.

    Raises:
        InputError: searches, which have more scores than a file should hold.
    """
    if not isinstance(judged, Evaluation):
        raise InputError(f"{judged.name}: searches have no list of scores; --scores goes with pairs and templates.")
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
