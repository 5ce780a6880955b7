"""Intervals for proportions: what a count of errors among independent trials can tell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

from scipy.special import ndtr, stdtrit

from marginface.errors import InputError


@dataclass(frozen=True)
class Interval:
    """Both ends of a two-sided interval, and how it was made."""

    low: float
    high: float
    confidence: float
    """Nominal coverage, 0..1."""
    method: Literal[
        "wilson",
        "wilson of an effective number",
        "melded binomials",
        "identity bootstrap",
        "image bootstrap",
        "wider of wilson and identity bootstrap",
        "wider of wilson and image bootstrap",
    ]

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def wilson(successes: float, trials: float, confidence: float = 0.95) -> Interval:
    """Return the Wilson score interval of a proportion.

    It holds its coverage near 0 and 1, where the textbook `p +- 2 sqrt(pq/n)` shrinks to nothing: zero errors in n
    trials still leave an upper end of about 3.8 / n.

    It assumes independent trials. **Comparisons of faces are not**: one person with an unusual face spoils every pair
    she is in, so that 1,000 pairs of 50 people say less than 1,000 pairs of 2,000 people. Where pairs share people this
    interval is too narrow, and `identity_bootstrap` is the one to quote.

    Args:
        successes: how often it happened, 0..trials; a fraction is allowed (an interpolated rate times its trials).
        trials: how often it could have happened, more than 0; a fraction is allowed (an effective number of trials).
        confidence: nominal coverage, between 0 and 1.

    Raises:
        InputError: no trials, successes outside 0..trials, or a confidence outside (0, 1).

    Source: Wilson, JASA 1927; two-sided, without continuity correction (scipy's `proportion_ci(method="wilson")`).

    Example:
        >>> wilson(5990, 6000)
        Interval(low=0.9969..., high=0.9990..., confidence=0.95, method='wilson')
    """
    if not trials > 0:
        raise InputError(f"An interval needs at least one trial, got {trials}.")
    if not 0 <= successes <= trials:
        raise InputError(f"{successes} successes do not fit into {trials} trials.")
    z = normal_quantile(confidence)
    share, slack = successes / trials, z * z / trials
    centre = (share + slack / 2) / (1 + slack)
    half = (slack * (share * (1 - share) + slack / 4)) ** 0.5 / (1 + slack)
    low = 0.0 if successes == 0 else max(0.0, centre - half)  # exact ends: rounding would leave 1e-18
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return Interval(low, high, confidence, "wilson")


def effective_wilson(
    share: float, trials: float, *, design_effect: float, num_units: int, confidence: float = 0.95
) -> Interval:
    """Return Wilson's interval of as many independent trials as vary as much as these do.

    It keeps what is right in Wilson's, its place and its lean near 0 and 1, and takes its width from the people.

    Args:
        share: what was observed, 0..1.
        trials: how many comparisons.
        design_effect: how many times larger the variance is than that of independent ones; below 1 counts as 1.
        num_units: people, among whom the variance was measured: Student's t takes the normal's place.
        confidence: nominal coverage, between 0 and 1.

    Source: Korn and Graubard, Survey Methodology 1998 (effective number and degrees of freedom); with Wilson's
    interval: Franco et al., Journal of Survey Statistics and Methodology 2019.
    """
    known = (normal_quantile(confidence) / student_quantile(confidence, max(num_units, 2) - 1)) ** 2
    effective = trials * known / max(design_effect, 1.0)
    found = wilson(share * effective, effective, confidence)
    return replace(found, method="wilson of an effective number")


def wider(wilson_interval: Interval, bootstrap_interval: Interval) -> Interval:
    """Return the lower of the two low ends and the higher of the two high ends.

    Each method fails where the other holds: Wilson knows nothing of shared identities or of the threshold's own noise,
    and a bootstrap of a sample without errors finds no errors and an interval of width zero.
    """
    return Interval(
        low=min(wilson_interval.low, bootstrap_interval.low),
        high=max(wilson_interval.high, bootstrap_interval.high),
        confidence=wilson_interval.confidence,
        method="wider of wilson and identity bootstrap",
    )


def normal_quantile(confidence: float) -> float:
    """Return z such that a standard normal lies within +-z with probability `confidence`."""
    if not 0 < confidence < 1:
        raise InputError(f"confidence must lie between 0 and 1, got {confidence}; 0.95 is usual.")
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def expanded_tail(confidence: float, num_units: int) -> float:
    """Return the percentile at which a bootstrap interval of as many resampled units ends.

    Replicates of n units vary (n - 1) / n as much as samples do, and a percentile takes that spread for known, where
    Student's t would not. Both make intervals of few units too narrow; so percentiles are taken further out,
    Phi(-sqrt(n / (n - 1)) t(n - 1)).

    Source: Hesterberg, What teachers should know about the bootstrap, The American Statistician 2015 (expanded
    percentile interval).

    Example:
        >>> [round(expanded_tail(0.95, units), 4) for units in (10, 40, 100, 4000)]
        [0.0086, 0.0203, 0.0231, 0.025]
    """
    units = max(num_units, 2)  # of one nothing is known, of two next to nothing: the percentile is that of the extremes
    return float(ndtr(-((units / (units - 1)) ** 0.5) * student_quantile(confidence, units - 1)))


def student_quantile(confidence: float, degrees: int) -> float:
    """Return t such that a Student variable of so many degrees of freedom lies within +-t with that probability."""
    normal_quantile(confidence)  # refuses what is outside (0, 1)
    return float(stdtrit(degrees, 0.5 + confidence / 2))
