"""The interval of FNMR at a target FMR where pairs are independent: few false matches hardly fix the threshold.

Wilson's interval of the FNMR takes the threshold as given, and a bootstrap never finds one above the highest non-mated
score. But how many of N non-mated scores reach the score of FMR f is known before any is seen: K ~ Binomial(N, f). Each
K points to a gap between two observed scores, each end of it to a count c of mated scores below, and a count to a
distribution of the FNMR, Beta(c + 1/2, M - c + 1/2). The interval holds the middle of the mixture over K.

Sources: melding of two confidence distributions, Fay, Proschan and Brittain, Biometrics 2015; the mean of a gap's two
ends for a discrete count is the mid-P rule, Lancaster, JASA 1961; the 1/2 is Jeffreys', Brown et al., Statistical
Science 2001.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betainc
from scipy.stats import binom

from marginface.metrics.intervals import Interval, normal_quantile
from marginface.metrics.sorted_scores import SortedScores

MOST = 512
"""Values of K that are looked at; a smooth mixture needs no more."""
STEPS = 30
"""Halvings of 0..1 that find an end, to 1e-9."""


def melded_fnmr_interval(scores: SortedScores, *, fmr: float, confidence: float = 0.95) -> Interval:
    """Return the interval of the FNMR at the score whose FMR is `fmr`, for independent pairs.

    With fewer than 3.7 expected false matches (-log 0.025) the score may well lie above all that were seen. Half that
    chance counts as a FNMR of 1, which at the rule of 3 just stays out of a 95 % interval.

    Args:
        scores: mated and non-mated.
        fmr: the target, between 0 and 1.
        confidence: nominal coverage, between 0 and 1.
    """
    normal_quantile(confidence)  # refuses what is outside (0, 1)
    num_mated, num_non_mated = scores.num_mated, scores.num_non_mated
    fewest, most = (int(end) for end in binom.ppf([1e-9, 1 - 1e-9], num_non_mated, fmr))
    reached = np.unique(np.linspace(fewest, most, min(MOST, most - fewest + 1)).astype(np.int64))
    weight = binom.pmf(reached, num_non_mated, fmr)
    descending = scores.non_mated[::-1]
    refused = descending[np.minimum(reached, num_non_mated - 1)]  # the threshold is above this score
    lowest = np.searchsorted(scores.mated, refused, side="right")
    highest = np.searchsorted(scores.mated, descending[np.maximum(reached, 1) - 1], side="left")
    highest = np.where(reached == 0, num_mated, highest)
    missed, weight = np.concatenate([lowest, highest]), np.concatenate([weight, weight])
    missed, index = np.unique(missed, return_inverse=True)
    weight = np.bincount(index, weights=weight) / weight.sum()

    def quantile(share: float) -> float:
        low, high = 0.0, 1.0
        for _ in range(STEPS):
            middle = (low + high) / 2
            below = weight @ betainc(missed + 0.5, num_mated - missed + 0.5, middle)
            low, high = (middle, high) if below < share else (low, middle)
        return (low + high) / 2

    tail = (1 - confidence) / 2
    return Interval(quantile(tail), quantile(1 - tail), confidence, "melded binomials")
