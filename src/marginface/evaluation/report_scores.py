"""Scores that somebody else made, judged as an evaluation is: an auditor needs no model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from marginface.errors import InputError
from marginface.metrics import differential_summary, summarise
from marginface.protocols import Comparisons
from marginface.protocols.differential import read_groups
from marginface.protocols.score_files import ScoreFile, read_scores
from marginface.quality import read_ofiq

from .discard import pairs_to_discard
from .group_rates import differential_record
from .record import comparison_numbers, hardest_pairs, threshold_of
from .report_quality import discard_record


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """How scores are judged."""

    name: str = "scores"
    """What the report calls the comparisons."""
    fmr_targets: tuple[float, ...] = (1e-2, 1e-3, 1e-4)
    """False match rates, 0..1."""
    quality: Path | None = None
    """OFIQ's table of the images that are compared: error versus discard by each of its measures."""
    groups: Path | None = None
    """Table identity,group or image,group: error rates for each group too."""
    group_fmr: float = 1e-2
    """FMR over all comparisons that sets the threshold which groups are judged at."""
    num_replicates: int = 1000
    """Resamplings of the people, where the file names them."""
    seed: int = 0


@dataclass(frozen=True, eq=False)
class ScoredComparisons:
    """The record of a file of scores, as a report takes it."""

    record: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the record: plain values, as `record.py` makes them of an evaluation."""
        return dict(self.record)


def judge_scores(
    path: Path,
    settings: ScoreSettings,
    *,
    system: str,
    non_mated: Path | None = None,
    command: str = "",
) -> ScoredComparisons:
    """Return what a file of scores says, ready for `write_report`.

    Args:
        path: a table, four columns, or pyeer's mated scores.
        settings: rates, quality, groups and resampling.
        system: what made the scores: a row of the table.
        non_mated: pyeer's second file.
        command: what was typed, for the record.

    Raises:
        InputError: a file that cannot be read, or quality or groups of comparisons that the file does not name.
    """
    found = read_scores(path, non_mated=non_mated)
    summary = summarise(
        found.score,
        found.mated,
        identity_left=found.identity_left,
        identity_right=found.identity_right,
        folds=found.fold,
        fmr_targets=settings.fmr_targets,
        num_replicates=settings.num_replicates,
        seed=settings.seed,
    )
    numbers = comparison_numbers(summary, found.score, found.mated)
    named = _named(found, path)
    return ScoredComparisons(
        {
            "system": {"name": system, "description": "", "fingerprint": ""},
            "protocol": {"name": settings.name, "kind": "scores"},
            "counts": {
                "mated": summary.num_mated,
                "non_mated": summary.num_non_mated,
                "identities": summary.num_identities,
                "images": None if named is None else len(named.keys),
                "broken": 0,
                "pairs_left_out": 0,
            },
            **numbers,
            # ten cuts of the order in which scores happen to stand say nothing
            "accuracy": numbers["accuracy"] if found.fold is not None else None,
            "accuracy_magface": None,
            "norms": None,
            "hardest": {"mated": [], "non_mated": []}
            if named is None
            else hardest_pairs(
                named.comparisons, keys=named.keys, people=named.people, threshold=threshold_of(numbers)
            ),
            "broken": [],
            "groups": None if settings.groups is None else _groups(named, settings, path),
            "quality": None if settings.quality is None else _quality(named, settings, path),
            "provenance": _provenance(path, non_mated, settings, command),
        }
    )


@dataclass(frozen=True, eq=False)
class _Named:
    comparisons: Comparisons
    keys: Sequence[str]
    people: Sequence[str]
    """(N,) of the images; an image whose person the file does not name is called by itself."""
    knows_people: bool


def _named(found: ScoreFile, path: Path) -> _Named | None:
    """Return comparisons as positions in a list of images, or None where the file names none."""
    if found.left is None or found.right is None:
        return None
    keys, place = np.unique(np.concatenate([found.left, found.right]), return_inverse=True)
    left, right = place.reshape(2, -1)
    knows_people = found.identity_left is not None and found.identity_right is not None
    people = np.array(keys, dtype=object)
    if found.identity_left is not None and found.identity_right is not None:
        people[left], people[right] = found.identity_left, found.identity_right
    number = np.unique(people.astype(str), return_inverse=True)[1].astype(np.int64)
    comparisons = Comparisons(
        name=path.stem,
        score=found.score,  # type: ignore[arg-type]  # float64: all the digits that the file has
        mated=found.mated,
        left=left,
        right=right,
        identity_left=number[left],
        identity_right=number[right],
        fold=found.fold,
    )
    return _Named(comparisons, [str(k) for k in keys], [str(p) for p in people], knows_people)


def _quality(named: _Named | None, settings: ScoreSettings, path: Path) -> dict[str, Any] | None:
    assert settings.quality is not None  # asked for
    if named is None:
        raise InputError(f"{path}: quality is that of images, and this file names none; add the columns left,right.")
    values = read_ofiq(settings.quality, named.keys)
    return discard_record(
        pairs_to_discard(named.comparisons, values, settings.fmr_targets),
        values,
        keys=named.keys,
        rows=None,
        num_replicates=settings.num_replicates if named.knows_people else 0,
        seed=settings.seed,
    )


def _groups(named: _Named | None, settings: ScoreSettings, path: Path) -> dict[str, Any]:
    assert settings.groups is not None  # asked for
    if named is None:
        raise InputError(f"{path}: groups are of people or images, and this file names none; add left,right.")
    people, labels = np.unique(np.array(named.people), return_inverse=True)
    groups = read_groups(settings.groups, named.keys, [str(one) for one in people], labels.astype(np.int64))
    comparisons = named.comparisons
    return differential_record(
        differential_summary(
            comparisons.score,
            comparisons.mated,
            groups.of_image[comparisons.left],
            groups.of_image[comparisons.right],
            groups=groups.names,
            fmr=settings.group_fmr,
            identity_left=comparisons.identity_left,
            identity_right=comparisons.identity_right,
            num_replicates=settings.num_replicates,
            seed=settings.seed,
        )
    )


def _provenance(path: Path, non_mated: Path | None, settings: ScoreSettings, command: str) -> dict[str, str]:
    def told(file: Path | None) -> str:
        return "" if file is None else f"{file.name}, sha256 {hashlib.sha256(file.read_bytes()).hexdigest()}"

    return {
        "scores": told(path),
        "non_mated_scores": told(non_mated),
        "quality": told(settings.quality),
        "groups": told(settings.groups),
        "software": f"marginface {metadata.version('marginface')}",
        "command": command,
    }
