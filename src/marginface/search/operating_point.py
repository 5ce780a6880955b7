"""The threshold of a search, and what it means for a gallery of N people.

A threshold is measured on single comparisons: the false match rate FMR. A search makes N of them, one a person, so a
stranger gets a name with probability (the false positive identification rate)

    FPIR = 1 - (1 - FMR)^N, about N * FMR while that is small,

if comparisons err independently. They do not quite: some faces are alike many (ISO/IEC 19795-1 asks for FPIR to be
measured). It is an estimate to plan by, and every result carries it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from marginface.errors import InputError
from marginface.models.threshold import Threshold, at_most


@dataclass(frozen=True, kw_only=True)
class SearchPoint:
    """Where a search draws the line."""

    threshold: float
    """A match is `score >= threshold`."""
    fmr: float | None
    """Of one comparison, as the card states it for this threshold; None where the threshold was given by hand."""
    num_people: int
    fpir: float | None
    """Estimated chance that a stranger gets a name among `num_people`."""
    data: str
    """What the FMR was measured on."""
    recall: float | None = None
    """Of the approximate index that was searched; None for exact search. See `fnir_with_recall`."""

    def words(self) -> str:
        """Return the point in one line."""
        index = "" if self.recall is None else f"; the index misses another {1 - self.recall:.2%} of known people"
        if self.fmr is None or self.fpir is None:
            return f"threshold {self.threshold:.4f}, given by hand: its error rates are not known{index}"
        return (
            f"threshold {self.threshold:.4f}: FMR {self.fmr:.3g} a comparison on {self.data}; among "
            f"{self.num_people:,} people a stranger gets a name in about {self.fpir:.2g} of searches "
            f"(1 - (1 - FMR)^N){index}"
        )


def fpir_of(fmr: float, num_people: int) -> float:
    """Return 1 - (1 - fmr)^N, exact for tiny rates too.

    Example:
        >>> round(fpir_of(1e-4, 1000), 4)
        0.0952
    """
    return -math.expm1(num_people * math.log1p(-fmr))


def fmr_for(fpir: float, num_people: int) -> float:
    """Return the FMR a comparison at which a search among N people reaches `fpir`; inverse of `fpir_of`."""
    return -math.expm1(math.log1p(-fpir) / max(num_people, 1))


def fnir_with_recall(fnir: float, recall: float) -> float:
    """Return the FNIR of an approximate search: it also misses people whom the index does not bring up.

    Args:
        fnir: of exact search at the same threshold.
        recall: share of the people found by exact search that the index brings up too.
    """
    return 1.0 - (1.0 - fnir) * recall


def search_point(
    thresholds: tuple[Threshold, ...],
    num_people: int,
    *,
    fmr: float | None = None,
    fpir: float | None = None,
    threshold: float | None = None,
) -> SearchPoint:
    """Return where to draw the line: at an FMR, at an FPIR, or at a threshold given by hand.

    Of the card's thresholds this takes the one with the largest FMR that does not exceed what is asked for.

    Raises:
        InputError: not exactly one of the three, a rate outside (0, 1), or none on the card that is strict enough.
    """
    given = [value for value in (fmr, fpir, threshold) if value is not None]
    if len(given) != 1:
        raise InputError("say one of fmr, fpir and threshold, and only one.")
    if threshold is not None:
        if not -1.0 <= threshold <= 1.0:
            raise InputError(f"the threshold is {threshold}; it is a cosine, from -1 to 1.")
        return SearchPoint(threshold=threshold, fmr=None, num_people=num_people, fpir=None, data="")
    asked = fmr if fmr is not None else fmr_for(_rate("fpir", fpir), num_people)
    chosen = _strict_enough(thresholds, _rate("fmr", asked))
    return SearchPoint(
        threshold=chosen.score,
        fmr=chosen.target_fmr,
        num_people=num_people,
        fpir=fpir_of(chosen.target_fmr, num_people),
        data=chosen.data,
    )


def _strict_enough(thresholds: tuple[Threshold, ...], fmr: float) -> Threshold:
    if not thresholds:
        raise InputError(
            "the model's card has no threshold for this flip policy: make the gallery from a model that was "
            "calibrated, or give a threshold by hand."
        )
    found = at_most(thresholds, fmr)
    if found is None:
        known = ", ".join(f"{t.target_fmr:g}" for t in sorted(thresholds, key=lambda t: -t.target_fmr))
        raise InputError(
            f"a threshold at FMR {fmr:.3g} is asked for, but the model's card has {known} only; take one of them."
        )
    return found


def _rate(name: str, value: float | None) -> float:
    if value is None or not 0.0 < value < 1.0:
        raise InputError(f"{name} is {value}; it lies between 0 and 1.")
    return value
