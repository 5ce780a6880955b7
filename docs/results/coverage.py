"""How often the reported 95 % intervals hold the truth, in simulations where the truth is known.

    python docs/results/coverage.py [SET ...] [--trials 2000] [--replicates 300]

Scores are drawn from bells whose rates are known in closed form; a report's numbers are computed as `evaluate` computes
them, and each interval is asked whether it holds the truth. Prints Markdown, the tables of docs/results/coverage.md.
Ten-fold accuracy and the area of an error versus discard curve have no closed form: theirs is the mean over the trials,
and a sample of 200,000 pairs.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np

from marginface.metrics import Interval, SearchScores, differential_summary, identification_summary, summarise
from marginface.metrics.discard import error_versus_discard

Array = np.ndarray
NORMAL = NormalDist()


@dataclass(frozen=True)
class Answer:
    """One number of a report."""

    name: str
    interval: Interval
    truth: float | None
    """None where it is the mean of `value` over all trials."""
    value: float = 0.0


@dataclass(frozen=True, kw_only=True)
class PairSet:
    """Comparisons of two bells: mated N(gap, spread), non-mated N(0, 1)."""

    num_mated: int
    num_non_mated: int
    eer: float
    spread: float = 1.0
    targets: tuple[float, float]
    people: int | None = None
    """None: nobody is in two pairs. Otherwise mated pairs are spread evenly over them, the others are any two."""
    habit: float = 0.0
    """Standard deviation that a score owes to the people in it, of 1 in all."""

    @property
    def gap(self) -> float:
        """Between the means: at the threshold of the EER both rates are equal."""
        return -(1 + self.spread) * NORMAL.inv_cdf(self.eer)

    def describe(self) -> str:
        """Return who is compared."""
        who = "nobody in two pairs" if self.people is None else f"{self.people} people, habit {self.habit:g}"
        wide = f", mated ones {self.spread:g} times as wide" if self.spread != 1 else ""
        return f"{self.num_mated:,} mated and {self.num_non_mated:,} non-mated pairs, {who}, EER {self.eer:.1%}{wide}"

    def draw(self, rng: np.random.Generator) -> tuple[Array, Array, Array, Array]:
        """Return scores, mated, left and right."""
        mated = np.arange(self.num_mated + self.num_non_mated) < self.num_mated
        own = rng.normal(size=len(mated))
        if self.people is None:
            person, left = np.arange(self.num_mated), self.num_mated + 2 * np.arange(self.num_non_mated)
            right, of_mated, of_others = left + 1, 0.0, 0.0
        else:
            person = np.arange(self.num_mated) % self.people
            left = rng.integers(self.people, size=self.num_non_mated)
            right = (left + rng.integers(1, self.people, size=self.num_non_mated)) % self.people
            habits = rng.normal(0, self.habit, (2, self.people))
            of_mated, of_others = habits[0][person], (habits[1][left] + habits[1][right]) / 2**0.5
        own *= (1 - self.habit**2) ** 0.5
        scores = np.concatenate(
            [self.gap + self.spread * (of_mated + own[: self.num_mated]), of_others + own[self.num_mated :]]
        )
        return scores, mated, np.concatenate([person, left]), np.concatenate([person, right])

    def answers(self, rng: np.random.Generator, seed: int, replicates: int) -> Iterator[Answer]:
        """Yield every number of one report."""
        scores, mated, left, right = self.draw(rng)
        folds = rng.permutation(len(scores)) % 10
        people = {"identity_left": left, "identity_right": right, "num_replicates": replicates, "seed": seed}
        # a tenth: cosines, for the papers' grid of thresholds
        row = summarise(scores / 10, mated, folds=folds, fmr_targets=self.targets, **people)
        yield Answer("EER", row.equal_error_rate.interval, self.eer)
        for point in row.fnmr_at_fmr:
            expected = f"{point.expected_false_matches:g} false matches"
            truth = NORMAL.cdf((-NORMAL.inv_cdf(point.target_fmr) - self.gap) / self.spread)
            yield Answer(f"FNMR at FMR, {expected}", point.interval, truth)
            yield Answer(f"FMR of that threshold, {expected}", point.fmr_interval, NORMAL.cdf(-10 * point.threshold))
        yield Answer("ten-fold accuracy", row.accuracy.interval, None, row.accuracy.num_correct / row.num_pairs)
        fixed, nobody = -NORMAL.inv_cdf(self.targets[0]), np.zeros(len(scores), np.int64)
        groups = differential_summary(scores, mated, nobody, nobody, groups=("all",), threshold=fixed, **people)
        yield Answer("FMR at a given threshold", groups.fmr[0].rate.interval, self.targets[0])
        missed = NORMAL.cdf((fixed - self.gap) / self.spread)
        yield Answer("FNMR at a given threshold", groups.fnmr[0].rate.interval, missed)


@dataclass(frozen=True, kw_only=True)
class SearchSet:
    """Searches of which half are mated: mates N(2.5, 1), the highest of the others N(0, 1)."""

    num_searches: int
    each: int = 1
    """Searches of one person."""
    habit: float = 0.0
    targets: tuple[float, float] = (0.1, 0.02)

    def describe(self) -> str:
        """Return who is searched."""
        habit = f", habit {self.habit:g}" if self.each > 1 else ""
        return f"{self.num_searches:,} searches, half of them mated, {self.each} a person{habit}"

    def answers(self, rng: np.random.Generator, seed: int, replicates: int) -> Iterator[Answer]:
        """Yield rank-1 and FNIR at both FPIRs."""
        person = np.arange(self.num_searches) // self.each
        habits = rng.normal(0, self.habit, (2, self.num_searches))[:, person]
        own = rng.normal(0, (1 - self.habit**2) ** 0.5, (2, self.num_searches))
        mate, other = 2.5 + habits[0] + own[0], habits[1] + own[1]
        is_mated = person % 2 == 0
        searches = SearchScores(
            name="gallery",
            person=person,
            rank=np.where(is_mated, np.where(mate > other, 1, 2), 0),
            mate_score=np.where(is_mated, mate, 0).astype(np.float32),
            non_mate_score=other.astype(np.float32),
            average_precision=None,
            num_entries=1000,
        )
        found = identification_summary(
            [searches], fpir_targets=self.targets, max_rank=None, num_replicates=replicates, seed=seed
        ).galleries[0]
        yield Answer("rank-1", found.ranks[0].rate.interval, NORMAL.cdf(2.5 / 2**0.5))
        for point in found.points:
            name = f"FNIR at FPIR, {point.expected_false_positives:g} false positives"
            yield Answer(name, point.fnir.interval, NORMAL.cdf(-NORMAL.inv_cdf(point.target_fpir) - 2.5))


@dataclass(frozen=True, kw_only=True)
class DiscardSet:
    """Pairs of which a quality is known: score plus unit noise."""

    pairs: PairSet

    def describe(self) -> str:
        """Return who is compared."""
        return f"{self.pairs.describe()}; quality is score plus noise"

    @cached_property
    def true_area(self) -> float:
        """That of a large sample."""
        rng = np.random.default_rng(12)
        num, gap = 100_000, self.pairs.gap
        score = np.concatenate([rng.normal(gap, 1, num), rng.normal(0, 1, num)])
        noisy = score + rng.normal(0, 1, 2 * num)
        return error_versus_discard(score, np.arange(2 * num) < num, noisy, fmr=self.pairs.targets[0]).area

    def answers(self, rng: np.random.Generator, seed: int, replicates: int) -> Iterator[Answer]:
        """Yield the area."""
        scores, mated, left, right = self.pairs.draw(rng)
        found = error_versus_discard(
            scores,
            mated,
            scores + rng.normal(0, 1, len(scores)),
            fmr=self.pairs.targets[0],
            identity_left=left,
            identity_right=right,
            num_replicates=replicates,
            seed=seed,
        )
        yield Answer("area under error versus discard", found.area_interval, self.true_area)


def independent(num: int, eer: float, targets: tuple[float, float], **more: float) -> PairSet:
    return PairSet(num_mated=num, num_non_mated=num, eer=eer, targets=targets, **more)  # type: ignore[arg-type]


def dependent(people: int, habit: float, num_non_mated: int, targets: tuple[float, float]) -> PairSet:
    return PairSet(
        num_mated=4 * people, num_non_mated=num_non_mated, eer=0.1, targets=targets, people=people, habit=habit
    )


SETS: dict[str, PairSet | SearchSet | DiscardSet] = {
    "pairs-300": independent(300, 0.1, (0.1, 0.01)),
    "pairs-600": independent(600, 0.02, (0.05, 0.01)),
    "pairs-3000": independent(3000, 0.05, (0.01, 0.001)),
    "pairs-3000-good": independent(3000, 0.005, (0.01, 0.001)),
    "pairs-unequal": PairSet(num_mated=500, num_non_mated=2000, eer=0.08, spread=2.0, targets=(0.05, 0.005)),
    "searches": SearchSet(num_searches=800),
    "discard": DiscardSet(pairs=independent(400, 0.1, (0.1, 0.05))),
    "people-40": dependent(40, 0.5, 600, (0.1, 0.05)),
    "people-40-strong": dependent(40, 0.8, 600, (0.1, 0.05)),
    "people-200": dependent(200, 0.5, 3000, (0.1, 0.01)),
    "people-200-strong": dependent(200, 0.8, 3000, (0.1, 0.01)),
    "people-searches": SearchSet(num_searches=600, each=4, habit=0.7),
    "people-discard": DiscardSet(pairs=dependent(60, 0.7, 900, (0.1, 0.05))),
}


@dataclass(frozen=True)
class Coverage:
    """Of one number over all trials, as shares."""

    held: float
    above: float
    """The truth lay above the interval."""
    below: float
    width: float
    """Mean."""


def cover(one: PairSet | SearchSet | DiscardSet, *, trials: int, replicates: int, seed: int = 0) -> dict[str, Coverage]:
    """Return how often the intervals of each number held the truth."""
    rng = np.random.default_rng(seed)
    found = defaultdict(list)
    for trial in range(trials):
        for answer in one.answers(rng, trial, replicates):
            found[answer.name].append(answer)
    coverages = {}
    for name, answers in found.items():
        mean = float(np.mean([answer.value for answer in answers]))
        truth = np.array([mean if answer.truth is None else answer.truth for answer in answers])
        low, high = np.array([(answer.interval.low, answer.interval.high) for answer in answers]).T
        above, below = float((truth > high).mean()), float((truth < low).mean())
        coverages[name] = Coverage(1 - above - below, above, below, float((high - low).mean()))
    return coverages


def main() -> None:
    """Print a table for each set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join(SETS)}; all unless given")
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--replicates", type=int, default=300)
    arguments = parser.parse_args()
    unknown = [name for name in arguments.sets if name not in SETS]
    if unknown:
        parser.error(f"there is no set {unknown[0]!r}; choose from {', '.join(SETS)}")
    for name in arguments.sets or SETS:
        print(f"**{name}**: {SETS[name].describe()}; {arguments.trials:,} trials\n")
        print("| number | held | truth above | truth below | mean width |\n| --- | --- | --- | --- | --- |")
        for number, one in cover(SETS[name], trials=arguments.trials, replicates=arguments.replicates).items():
            print(f"| {number} | {one.held:.1%} | {one.above:.1%} | {one.below:.1%} | {one.width:.4f} |")
        print(flush=True)


if __name__ == "__main__":
    main()
