"""Identification: a probe is searched in a gallery; is the right person found, and is a stranger left alone?

Convention, everywhere (ISO/IEC 19795-1, NIST FRTE):

    rank    of a mated search: 1 + the gallery entries of other people that score at least as high as the best mate.
            Ties count against the mate, so that a model which gives everybody one score finds nobody.
    CMC     share of mated searches with rank <= k (rank-1, rank-5 ...).
    FPIR    share of non-mated searches whose **highest** score reaches the threshold (not the share of comparisons:
            a gallery of 3,000 raises a false alarm 3,000 times as easily as one comparison does).
    FNIR    share of mated searches whose best mate is below the threshold or beyond `max_rank`. 1 - FNIR = TPIR.

FNIR at a target FPIR takes the largest achieved FPIR that does not exceed the target, as `fnmr_at_fmr` does. Several
galleries (IJB's two) are judged one by one and their rates averaged.

Intervals draw the people of the probes again, all galleries alike; the galleries themselves stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marginface.errors import InputError
from marginface.metrics.replicates import CountedRate, counted_rate, drawn_times
from marginface.metrics.sorted_scores import SortedScores
from marginface.metrics.verification import Support, fmr_support, fnmr_at_fmr

Array = npt.NDArray
FPIR_TARGETS = (0.003, 0.01, 0.1)
"""Rates that IJB and NIST tables print."""


@dataclass(frozen=True, eq=False)
class SearchScores:
    """What searching one gallery gave, a row a search (Q,)."""

    name: str
    """Of the gallery."""
    person: npt.NDArray[np.int64]
    """(Q,) who the probe is, numbered alike in all galleries of a protocol."""
    rank: npt.NDArray[np.int64]
    """(Q,) 1 or more for mated searches, 0 where the gallery does not hold the person."""
    mate_score: npt.NDArray[np.float32]
    """(Q,) of the best mate; 0 for non-mated searches."""
    non_mate_score: npt.NDArray[np.float32]
    """(Q,) the highest score of anybody else."""
    average_precision: npt.NDArray[np.float64] | None
    """(Q,) of mated searches with all their mates; None where a search has one mate by its protocol."""
    num_entries: int
    """Of the gallery, distractors included."""
    num_distractors: int = 0

    def __post_init__(self) -> None:
        """Refuse scores that are no numbers.

        Raises:
            InputError: a score that is NaN or infinite.
        """
        for values in (self.mate_score, self.non_mate_score):
            bad = np.flatnonzero(~np.isfinite(values))
            if bad.size:
                raise InputError(
                    f"{self.name}: {bad.size:,} of {len(values):,} searches have scores that are NaN or infinite, the "
                    f"first at position {bad[0]}; an embedding is broken: leave its image out or embed again."
                )

    @property
    def is_mated(self) -> npt.NDArray[np.bool_]:
        """(Q,) whether the gallery holds the person."""
        return self.rank > 0


@dataclass(frozen=True)
class RankRate:
    """Share of mated searches that find their person among the first `rank`."""

    rank: int
    rate: CountedRate


@dataclass(frozen=True)
class IdentificationPoint:
    """FNIR at a target FPIR. The rates are None where the searches cannot support it."""

    target_fpir: float
    support: Support
    expected_false_positives: float
    """Over the gallery with the fewest non-mated searches: 30 support the rate, fewer than 3 are refused."""
    fnir: CountedRate | None
    achieved_fpir: CountedRate | None
    thresholds: tuple[float, ...]
    """One a gallery."""


@dataclass(frozen=True)
class IdentificationRates:
    """Of one gallery, or the average over several."""

    name: str
    num_mated: int
    num_non_mated: int
    num_entries: int
    num_distractors: int
    ranks: tuple[RankRate, ...]
    points: tuple[IdentificationPoint, ...]
    """Empty where no search is non-mated."""
    mean_average_precision: CountedRate | None
    """`successes` is the rounded sum of precisions; None where the searches carry none."""
    cmc: tuple[tuple[int, float], ...]
    """(rank, share) at ranks where a curve bends, up to 1,000."""


@dataclass(frozen=True)
class IdentificationSummary:
    """Everything a table of identification needs."""

    galleries: tuple[IdentificationRates, ...]
    average: IdentificationRates | None
    """Over the galleries; None where they are not to be averaged."""
    num_people: int
    """Of all probes."""
    max_rank: int | None
    confidence: float
    num_replicates: int
    caveats: tuple[str, ...]
    joined: IdentificationRates | None = None
    """Of all galleries as one, where a protocol's ranks are those."""


def identification_summary(
    searches: Sequence[SearchScores],
    *,
    ranks: Sequence[int] = (1, 5, 10),
    fpir_targets: Sequence[float] = FPIR_TARGETS,
    max_rank: int | None = 1,
    average: bool = True,
    num_replicates: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> IdentificationSummary:
    """Return rank rates, FNIR at FPIRs and mean average precision, with counts and intervals.

    Args:
        searches: one for each gallery.
        ranks: k of rank-k.
        fpir_targets: where FNIR is given, between 0 and 1.
        max_rank: a mate beyond it is missed whatever its score (1 as in published TPIR); None sets no limit.
        average: give the mean over galleries too.
        num_replicates: of people; 0 leaves Wilson's intervals.
        confidence: of all intervals.
        seed: of the draws.

    Raises:
        InputError: no gallery, a gallery without mated searches, a target outside (0, 1), a rank below 1.
    """
    if not searches:
        raise InputError("Identification needs at least one gallery that was searched.")
    if not ranks or min(ranks) < 1 or (max_rank is not None and max_rank < 1):
        raise InputError(f"Ranks start at 1; got {list(ranks)} and max_rank {max_rank}.")
    for one in searches:
        if not one.is_mated.any():
            raise InputError(
                f"{one.name}: none of the {len(one.rank):,} searches is mated: no probe's person is in the gallery of "
                f"{one.num_entries:,}. Do probes and gallery number people alike?"
            )
    people = np.unique(np.concatenate([one.person for one in searches]))
    judged = [_Gallery(one, people, ranks, fpir_targets, max_rank) for one in searches]
    replicates = [
        np.array([gallery.statistics(times) for gallery in judged])
        for times in (drawn_times(len(people), k, seed) for k in range(num_replicates))
    ]
    drawn = np.array(replicates) if replicates else np.empty((0, len(judged), judged[0].num_statistics))
    galleries = tuple(
        _rates(one.scores.name, [one], drawn[:, [i]], ranks, fpir_targets, len(people), confidence)
        for i, one in enumerate(judged)
    )
    mean = (
        _rates("average", judged, drawn, ranks, fpir_targets, len(people), confidence)
        if average and len(judged) > 1
        else None
    )
    return IdentificationSummary(
        galleries=galleries,
        average=mean,
        num_people=len(people),
        max_rank=max_rank,
        confidence=confidence,
        num_replicates=num_replicates,
        caveats=_caveats(galleries, len(people), num_replicates),
    )


def cumulative_matches(rank: npt.ArrayLike, *, most: int = 1000) -> tuple[tuple[int, float], ...]:
    """Return (k, share of mated searches with rank <= k) at the ranks where the share changes, and at `most`.

    Example:
        >>> cumulative_matches([1, 1, 3, 0], most=10)
        ((1, 0.6666666666666666), (3, 1.0), (10, 1.0))
    """
    found = np.asarray(rank)
    found = found[found > 0]
    steps = np.unique(np.append(found[found <= most], (1, most)))
    shares = np.searchsorted(np.sort(found), steps, side="right") / len(found)
    return tuple((int(k), float(share)) for k, share in zip(steps, shares, strict=True))


class _Gallery:
    """Searches of one gallery, sorted once, so that a replicate is a few weighted sums."""

    def __init__(
        self,
        scores: SearchScores,
        people: Array,
        ranks: Sequence[int],
        fpir_targets: Sequence[float],
        max_rank: int | None,
    ) -> None:
        self.scores = scores
        number = np.searchsorted(people, scores.person)
        is_mated = scores.is_mated
        self.mated_person = number[is_mated]
        self.rank, self.mate_score = scores.rank[is_mated], scores.mate_score[is_mated]
        self.within = np.ones(len(self.rank), np.bool_) if max_rank is None else self.rank <= max_rank
        strangers = np.flatnonzero(~is_mated)
        strangers = strangers[np.argsort(-scores.non_mate_score[strangers], kind="stable")]  # highest first
        self.stranger_person, self.highest = number[strangers], scores.non_mate_score[strangers]
        self.targets = [t for t in fpir_targets if len(strangers) and fmr_support(len(strangers), t) != "refused"]
        self.all_targets = fpir_targets
        self.hits = [self.rank <= k for k in ranks]
        self.precision = None if scores.average_precision is None else scores.average_precision[is_mated]
        ordered = SortedScores(np.sort(self.mate_score), self.highest[::-1])
        self.points = {t: fnmr_at_fmr(ordered, fmr=t) for t in self.targets}

    @property
    def num_statistics(self) -> int:
        return len(self.hits) + 1 + 2 * len(self.all_targets)

    def misses(self, threshold: float | None) -> Array:
        """Return (M,) whether each mated search misses at a threshold."""
        assert threshold is not None  # refused targets have no point
        return ~(self.within & (self.mate_score >= self.mate_score.dtype.type(threshold)))

    def statistics(self, times: Array) -> Array:
        """Return rank rates, mean average precision, FNIRs and FPIRs of a replicate; NaN where there are none."""
        weight = times[self.mated_person].astype(np.float64)
        total = weight.sum()
        found = np.full(self.num_statistics, np.nan)
        if total == 0:
            return found
        for i, hit in enumerate(self.hits):
            found[i] = weight[hit].sum() / total
        if self.precision is not None:
            found[len(self.hits)] = weight @ self.precision / total
        strangers = np.cumsum(times[self.stranger_person])
        if not len(strangers) or strangers[-1] == 0:
            return found
        for i, target in enumerate(self.all_targets, len(self.hits) + 1):
            if target in self.points:
                allowed = int(np.searchsorted(strangers, target * strangers[-1] * (1 + 1e-12), side="right"))
                hit = self.within & (self.mate_score > self.highest[min(allowed, len(self.highest) - 1)])
                found[i] = 1 - weight[hit].sum() / total
                reached = np.searchsorted(-self.highest, -np.float32(self.points[target].threshold or 0), "right")
                found[i + len(self.all_targets)] = strangers[reached - 1] / strangers[-1] if reached else 0.0
        return found


def _rates(
    name: str,
    galleries: Sequence[_Gallery],
    drawn: Array,
    ranks: Sequence[int],
    fpir_targets: Sequence[float],
    num_people: int,
    confidence: float,
) -> IdentificationRates:
    """Return the rates averaged over galleries; `drawn` is (R, galleries, statistics)."""
    replicates = drawn.mean(axis=1)
    trials = [len(one.rank) for one in galleries]

    def averaged(counts: Sequence[float], of: Sequence[int], column: int) -> CountedRate:
        shares = [count / total for count, total in zip(counts, of, strict=True)]
        return counted_rate(
            round(sum(counts)),
            sum(of),
            replicates[:, column],
            num_people=num_people,
            confidence=confidence,
            value=sum(shares) / len(shares),
        )

    points = []
    for i, target in enumerate(fpir_targets, len(ranks) + 1):
        strangers = [len(one.highest) for one in galleries]
        if not min(strangers):
            continue
        fewest = min(strangers)
        support, made = fmr_support(fewest, target), [one.points.get(target) for one in galleries]
        fnir = achieved = None
        if support != "refused":
            misses = [int(g.misses(p.threshold).sum()) for g, p in zip(galleries, made, strict=True) if p]
            fnir = averaged(misses, trials, i)
            alarms = [p.false_matches or 0 for p in made if p]
            achieved = averaged(alarms, strangers, i + len(fpir_targets))
        points.append(
            IdentificationPoint(
                target_fpir=target,
                support=support,
                expected_false_positives=round(fewest * target, 6),
                fnir=fnir,
                achieved_fpir=achieved,
                thresholds=tuple(float(p.threshold) for p in made if p and p.threshold is not None),
            )
        )
    precisions = [float(one.precision.sum()) for one in galleries if one.precision is not None]
    return IdentificationRates(
        name=name,
        num_mated=sum(trials),
        num_non_mated=sum(len(one.highest) for one in galleries),
        num_entries=sum(one.scores.num_entries for one in galleries),
        num_distractors=sum(one.scores.num_distractors for one in galleries),
        ranks=tuple(
            RankRate(k, averaged([int(one.hits[i].sum()) for one in galleries], trials, i)) for i, k in enumerate(ranks)
        ),
        points=tuple(points),
        mean_average_precision=averaged(precisions, trials, len(ranks)) if len(precisions) == len(galleries) else None,
        cmc=cumulative_matches(np.concatenate([one.rank for one in galleries])),
    )


def _caveats(galleries: Sequence[IdentificationRates], num_people: int, num_replicates: int) -> tuple[str, ...]:
    said = []
    weakest = min(galleries, key=lambda one: one.num_non_mated)
    for point in weakest.points:
        if point.support != "supported":
            ending = "no number is given" if point.support == "refused" else "take it as a hint"
            said.append(
                f"The {weakest.num_non_mated:,} non-mated searches of {weakest.name} cannot support FPIR "
                f"{point.target_fpir:g}: {point.expected_false_positives:.3g} expected false positives, 30 are needed; "
                f"{ending}."
            )
    if not weakest.points:
        said.append("Every probe's person is in the gallery: there is no FPIR, and ranks say nothing about strangers.")
    if num_people < 30:
        who = "person" if num_people == 1 else "people"
        said.append(f"Only {num_people} {who}: these intervals speak for little more than these people.")
    if num_replicates == 0:
        said.append("Intervals take searches for independent; where probes share people they are too narrow.")
    return tuple(said)
