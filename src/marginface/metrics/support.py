"""How much data a rate needs: the rule of 3, the rule of 30, and what would satisfy them.

- Rule of 3: without any error in N trials the true rate may still be 3 / N (upper 95 % bound). Below 3 expected errors
  the data say nothing about a rate.
- Rule of 30: with 30 errors the rate is known to +-30 % of itself at 90 % confidence (Doddington et al., Speech
  Communication 2000; ISO/IEC 19795-1).

Both take comparisons for independent, so they are the least that is needed: pairs that share people say less.
"""

from __future__ import annotations

import math

from marginface.errors import InputError
from marginface.metrics.verification import ERRORS_NEEDED, fmr_support


def comparisons_needed(rate: float, *, errors: int = ERRORS_NEEDED) -> int:
    """Return how many comparisons expect that many errors at this rate.

    Example:
        >>> comparisons_needed(1e-4), comparisons_needed(1e-4, errors=3)
        (300000, 30000)
    """
    if not 0 < rate < 1:
        raise InputError(f"A rate must lie between 0 and 1, got {rate}.")
    return math.ceil(round(errors / rate, 6))


def people_needed(rate: float, *, errors: int = ERRORS_NEEDED) -> int:
    """Return how many people, one image each and everybody compared with everybody, make those comparisons.

    Example:
        >>> people_needed(1e-4), people_needed(1e-6)
        (776, 7747)
    """
    needed = comparisons_needed(rate, errors=errors)
    return math.ceil((1 + math.sqrt(1 + 8 * needed)) / 2)


def supported_rate(num_comparisons: int, *, errors: int = ERRORS_NEEDED) -> float:
    """Return the lowest rate at which this many comparisons expect `errors` errors.

    Example:
        >>> supported_rate(3000), supported_rate(3000, errors=3)
        (0.01, 0.001)
    """
    return errors / num_comparisons


def shortfall_sentence(num_non_mated: int, fmr: float) -> str:
    """Return why these comparisons cannot carry a threshold at this FMR and what could, or "" where they can.

    Example:
        >>> shortfall_sentence(3000, 1e-2)
        ''
        >>> shortfall_sentence(3000, 1e-4)
        '3,000 non-mated comparisons cannot support FMR 0.0001: 0.3 false matches are to be expected, 30 are needed. \
300,000 comparisons would do, those of 776 people with one image each, every one compared with every other; these \
support FMR 0.01.'
    """
    if fmr_support(num_non_mated, fmr) == "supported":
        return ""
    expected = f"{num_non_mated * fmr:.3g} false matches are to be expected, {ERRORS_NEEDED} are needed"
    return (
        f"{num_non_mated:,} non-mated comparisons cannot support FMR {fmr:g}: {expected}. "
        f"{comparisons_needed(fmr):,} comparisons would do, those of {people_needed(fmr):,} people with one image "
        f"each, every one compared with every other; these support FMR {supported_rate(num_non_mated):.2g}."
    )
