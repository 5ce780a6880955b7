"""Rates rarer than the comparisons can show, read from a distribution fitted to the tail of their scores.

Peaks over threshold (Pickands, Annals of Statistics 1975; Balkema and de Haan 1974): whatever the distribution, the
excesses y of its samples over a high level u tend to a generalised Pareto distribution, so that

    P(score > s) = zeta * (1 + xi (s - u) / sigma) ^ (-1 / xi),      zeta = P(score > u)

and the score of a rarer rate f is   s = u + sigma / xi * ((f / zeta) ^ (-xi) - 1).

xi and sigma are those of the greatest likelihood. With theta = xi / sigma the best xi of each theta is the mean of
log(1 + theta y), which leaves a search along one line (Grimshaw, Technometrics 1993). We keep xi within +-0.5: below,
the likelihood has no regular maximum; above, no bounded score has such a tail. Our own search rather than scipy's,
for the bootstrap over identities needs weights; a test holds it against scipy's.

Bells such as those of cosines approach the limit slowly, and a fit tends to fall short of their true scores. So the
upper end of our interval is at least the score under an exponential tail (xi = 0), which is heavier than a bell's.

The tail has k = N^(2/3) / log(log N) excesses (Loretan and Phillips, Journal of Empirical Finance 1994): 100 of 3,000
scores, 3,800 of a million. **This is an assumption about people nobody compared.** It cannot know of twins, of the same
person under two names, or of a camera that was not in the data; a measured rate can.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError

Array = npt.NDArray[np.float64]

FEWEST_EXCESSES = 50
"""Below this the two parameters are guesses."""
LARGEST_SHAPE = 0.5
CHI_SQUARE_95 = 3.841458820694124
"""Of one degree of freedom: a quantile is inside its interval while twice the loss of log-likelihood is below."""


@dataclass(frozen=True)
class Tail:
    """A generalised Pareto distribution over the highest scores."""

    level: float
    """u, the score over which the tail begins."""
    share: float
    """zeta, the share of the scores above it."""
    shape: float
    """xi; below 0 the scores have an end, which those of two different people have."""
    scale: float
    """sigma."""
    num_excesses: int

    def score(self, rate: float) -> float:
        """Return the score that a share `rate` of the comparisons exceeds; `rate` is at most `share`."""
        ratio = rate / self.share
        if abs(self.shape) < 1e-9:
            return self.level - self.scale * math.log(ratio)
        return float(self.level + self.scale / self.shape * (ratio**-self.shape - 1))

    def rate(self, score: float) -> float:
        """Return the share of the comparisons that exceeds `score`, which is at least `level`."""
        if abs(self.shape) < 1e-9:
            return self.share * math.exp((self.level - score) / self.scale)
        base = 1 + self.shape * (score - self.level) / self.scale
        return self.share * base ** (-1 / self.shape) if base > 0 else 0.0


def num_excesses(num_scores: int) -> int:
    """Return how many of the highest scores are taken for the tail.

    Raises:
        InputError: so few scores that the tail would have less than 50.
    """
    number = round(num_scores ** (2 / 3) / math.log(math.log(num_scores))) if num_scores > 15 else 0
    if number < FEWEST_EXCESSES:
        raise InputError(
            f"{num_scores:,} non-mated scores leave {number} for the tail, and {FEWEST_EXCESSES} are the least that "
            "extrapolation needs; 1,000 comparisons would do."
        )
    return number


def fit_tail(ordered: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> Tail:
    """Return the tail of the highest scores.

    Args:
        ordered: (N,) scores, ascending.
        weights: (N,) how much each counts, in the same order; None counts each once. They scale the likelihood, as in a
            replicate of a bootstrap.

    Raises:
        InputError: too few scores, or a tail of equal ones.
    """
    scores = np.asarray(ordered, np.float64)
    number = num_excesses(len(scores))
    level = float(scores[-number - 1])
    above = int(np.searchsorted(scores, level, side="right"))  # ties with the level are not above it
    excess = scores[above:] - level
    weight = np.ones(len(scores)) if weights is None else np.asarray(weights, np.float64)
    tail_weight = weight[above:]
    if len(excess) < FEWEST_EXCESSES or tail_weight.sum() == 0 or np.ptp(excess) == 0:
        raise InputError("The highest non-mated scores are equal or too few; their tail cannot be extrapolated.")
    shape, scale = _most_likely(excess, tail_weight / tail_weight.sum())
    return Tail(level, float(tail_weight.sum() / weight.sum()), shape, scale, len(excess))


def score_interval(ordered: npt.ArrayLike, rate: float) -> tuple[float, float]:
    """Return both ends of a 95 % interval of the score at `rate`, scores taken as independent.

    By profile likelihood: a score stays inside while the best fit that puts it at this rate loses less than 1.92 of
    log-likelihood against the best fit of all (Coles, An Introduction to Statistical Modeling of Extreme Values, 2001,
    section 4.3). The share of the tail counts as known; its noise is small beside that of the fit. The upper end is at
    least the score under an exponential tail, see above.

    Args:
        ordered: (N,) scores, ascending.
        rate: below the share of the tail.

    Raises:
        InputError: see `fit_tail`.
    """
    scores = np.asarray(ordered, np.float64)
    tail = fit_tail(scores)
    excess = scores[scores > tail.level] - tail.level
    best = _log_likelihood(excess, tail.shape, tail.scale)
    # A fit through (rate, score) has one parameter left, xi: sigma = (score - u) xi / ((f / zeta)^-xi - 1).
    shapes = np.linspace(-LARGEST_SHAPE, LARGEST_SHAPE, 52)  # an even number: 0 itself is left out
    reach = ((rate / tail.share) ** -shapes - 1) / shapes

    def is_inside(score: float) -> bool:
        fit = max(_log_likelihood(excess, xi, (score - tail.level) / r) for xi, r in zip(shapes, reach, strict=True))
        return 2 * len(excess) * (best - fit) <= CHI_SQUARE_95

    centre = tail.score(rate)
    width = centre - tail.level
    low = _edge(is_inside, centre, tail.level + 1e-3 * width)
    high = _edge(is_inside, centre, centre + 10 * width)
    exponential = replace(tail, shape=0.0, scale=float(excess.mean()))
    return low, max(high, exponential.score(rate))


def _most_likely(excess: Array, weight: Array) -> tuple[float, float]:
    """Return (xi, sigma) of the greatest weighted likelihood; `weight` sums to 1."""
    largest = float(excess[weight > 0].max())
    low = _theta_of(-LARGEST_SHAPE, excess, weight, -1 / largest * (1 - 1e-9), 0.0)
    high = _theta_of(LARGEST_SHAPE, excess, weight, 0.0, 1e3 / float(excess @ weight))

    def loss(theta: Array) -> Array:
        shape = np.log1p(theta[:, None] * excess) @ weight
        shape = np.where(np.abs(shape) < 1e-9, 1e-9, shape)
        safe = np.where(np.abs(theta) < 1e-12, shape / float(excess @ weight), theta)
        return np.asarray(np.log(shape / safe) + shape)

    for _ in range(4):  # each round narrows the line to two of 24 steps
        thetas = np.linspace(low, high, 25)
        best = int(np.argmin(loss(thetas)))
        low, high = thetas[max(best - 1, 0)], thetas[min(best + 1, 24)]
    theta = (low + high) / 2
    shape = float(np.log1p(theta * excess) @ weight)
    return (shape, float(shape / theta)) if abs(shape) > 1e-9 else (0.0, float(excess @ weight))


def _theta_of(shape: float, excess: Array, weight: Array, low: float, high: float) -> float:
    """Return the theta whose best xi is `shape`, by halving: xi rises with theta."""
    for _ in range(40):
        middle = (low + high) / 2
        if float(np.log1p(middle * excess) @ weight) < shape:
            low = middle
        else:
            high = middle
    return high


def _log_likelihood(excess: Array, shape: float, scale: float) -> float:
    """Return the mean log-density of the excesses; -inf where one lies beyond the distribution's end."""
    if abs(shape) < 1e-9:
        return float(-math.log(scale) - excess.mean() / scale)
    base = 1 + shape * excess / scale
    if base.min() <= 0:
        return -math.inf
    return float(-math.log(scale) - (1 + 1 / shape) * np.log(base).mean())


def _edge(is_inside: Callable[[float], bool], inside: float, outside: float) -> float:
    """Return the border between a score that is inside and one that is not, by halving."""
    for _ in range(20):
        middle = (inside + outside) / 2
        if is_inside(middle):
            inside = middle
        else:
            outside = middle
    return inside
