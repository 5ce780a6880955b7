"""Claims about identification: ranks, FPIR over the highest score of a search, averages, intervals, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.metrics import SearchScores, cumulative_matches, identification_summary


def searches(rank, mate, other, *, person=None, precision=None, name="g"):
    rank = np.asarray(rank)
    return SearchScores(
        name=name,
        person=np.arange(len(rank)) if person is None else np.asarray(person),
        rank=rank,
        mate_score=np.asarray(mate, np.float32),
        non_mate_score=np.asarray(other, np.float32),
        average_precision=None if precision is None else np.asarray(precision, np.float64),
        num_entries=100,
    )


def drawn(num=400, *, strangers=400, per_person=1, gap=3.0, seed=0):
    rng = np.random.default_rng(seed)
    people = np.repeat(np.arange((num + strangers) // per_person), per_person)
    other = rng.normal(2, 0.5, num + strangers)
    mate = np.where(np.arange(num + strangers) < num, rng.normal(gap, 1, num + strangers), 0)
    rank = np.where(np.arange(num + strangers) < num, np.where(mate > other, 1, rng.integers(2, 30, len(mate))), 0)
    return searches(rank, mate, other, person=people)


def test_a_hand_made_case():
    #           mated: rank 1 high, rank 1 low, rank 3 high      strangers: highest scores .9 .5 .4 .1
    found = searches([1, 1, 3, 0, 0, 0, 0], [0.95, 0.45, 0.8, 0, 0, 0, 0], [0.3, 0.2, 0.85, 0.9, 0.5, 0.4, 0.1])
    summary = identification_summary([found], ranks=(1, 3), fpir_targets=(0.76, 0.26), num_replicates=0)
    assert summary.average is None
    (one,) = summary.galleries
    assert [r.rate.value for r in one.ranks] == [2 / 3, 1]
    assert [(r.rate.successes, r.rate.trials) for r in one.ranks] == [(2, 3), (3, 3)]
    loose, strict = one.points
    assert (strict.support, strict.fnir, strict.expected_false_positives) == ("refused", None, 1.04)
    assert loose.achieved_fpir.value == 0.75  # .9, .5 and .4 raise alarms; the threshold is at the next score above .1
    assert loose.fnir.value == pytest.approx(1 / 3)  # only the mate at rank 3 is missed
    free = identification_summary([found], fpir_targets=(0.76,), max_rank=None, num_replicates=0)
    assert free.galleries[0].points[0].fnir.value == 0


def test_fpir_counts_the_highest_score_of_each_non_mated_search():
    found = drawn()
    (point,) = identification_summary([found], fpir_targets=(0.1,), num_replicates=0).galleries[0].points
    strangers = found.non_mate_score[~found.is_mated]
    (threshold,) = point.thresholds
    assert point.achieved_fpir.value == (strangers >= np.float32(threshold)).mean() <= 0.1
    hit = (found.rank == 1) & (found.mate_score >= np.float32(threshold))
    assert point.fnir.value == pytest.approx(1 - hit[found.is_mated].mean())
    assert point.fnir.value in point.fnir.interval


def test_several_galleries_are_averaged_not_joined():
    one, other = drawn(200, seed=1), drawn(300, gap=2.0, seed=2)
    both = identification_summary([one, other], num_replicates=20)
    alone = [identification_summary([g], num_replicates=0).galleries[0] for g in (one, other)]
    for i in range(3):
        values = [g.ranks[i].rate.value for g in alone]
        assert both.average.ranks[i].rate.value == pytest.approx(np.mean(values))
        assert both.average.ranks[i].rate.trials == 500
    assert both.average.points[2].fnir.value == pytest.approx(np.mean([g.points[2].fnir.value for g in alone]))


def test_mean_average_precision_is_the_mean_over_mated_searches():
    found = searches([1, 2, 0], [1, 1, 0], [0, 2, 0], precision=[1.0, 0.5, 0.0])
    rate = identification_summary([found], num_replicates=0).galleries[0].mean_average_precision
    assert rate.value == 0.75


def test_intervals_over_people_are_wider_where_probes_share_them():
    rng = np.random.default_rng(0)
    hard = rng.random(20) < 0.3
    person = np.repeat(np.arange(20), 30)
    rank = np.where(hard[person], 5, 1)
    shared = searches(rank, np.ones(600), np.zeros(600), person=person)
    alone = searches(rank, np.ones(600), np.zeros(600))
    widths = []
    for one in (shared, alone):
        interval = identification_summary([one], num_replicates=300).galleries[0].ranks[0].rate.interval
        widths.append(interval.high - interval.low)
    assert widths[0] > 3 * widths[1]


@pytest.mark.slow
def test_bootstrap_intervals_of_fnir_cover_for_probes_that_share_people():
    covered, rounds = 0, 150
    truth = np.mean([_fnir(seed, people=4000) for seed in range(1000, 1003)])
    for seed in range(rounds):
        summary = identification_summary([_dependent(seed, people=150)], fpir_targets=(0.1,), num_replicates=200)
        covered += truth in summary.galleries[0].points[0].fnir.interval
    assert covered / rounds > 0.9


def _dependent(seed, *, people):
    rng = np.random.default_rng(seed)
    habit = rng.normal(0, 0.7, people)
    person = np.repeat(np.arange(people), 4)
    is_mated = person % 2 == 0
    mate = np.where(is_mated, 2 + habit[person] + 0.7 * rng.normal(size=len(person)), 0)
    other = habit[person] + 0.7 * rng.normal(size=len(person))
    return searches(np.where(is_mated, 1, 0), mate, other, person=person)


def _fnir(seed, *, people):
    return (
        identification_summary([_dependent(seed, people=people)], fpir_targets=(0.1,), num_replicates=0)
        .galleries[0]
        .points[0]
        .fnir.value
    )


def test_cmc_is_a_staircase_that_ends():
    assert cumulative_matches([1, 1, 3, 0], most=10) == ((1, 2 / 3), (3, 1.0), (10, 1.0))


@pytest.mark.parametrize(
    "change, words",
    [
        (list, "at least one gallery"),
        (lambda: [searches([0, 0], [0, 0], [1, 1])], "none of the 2 searches is mated"),
        (lambda: [searches([1], [np.nan], [1])], "NaN or infinite, the first at position 0"),
    ],
)
def test_what_cannot_be_judged_is_refused(change, words):
    with pytest.raises(InputError, match=words):
        identification_summary(change())


def test_all_mated_probes_leave_fpir_out_and_say_so():
    summary = identification_summary([searches([1, 2], [1, 1], [0, 2])], num_replicates=0)
    assert summary.galleries[0].points == ()
    assert any("there is no FPIR" in sentence for sentence in summary.caveats)
