"""Claims about the bootstrap over identities: the weights it states, and what its intervals cover."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.metrics import equal_error_rate, fnmr_at_fmr, identity_bootstrap, k_fold_accuracy, wilson
from marginface.metrics.bootstrap import _Accuracy, _EqualErrorRate, _FnmrAtFmr
from marginface.metrics.drawn_pairs import OrderedPairs
from tests.helpers import reference_metrics as slow
from tests.helpers.scores import people_pairs


def pairs_of(seed, **sizes):
    scores, mated, left, right = people_pairs(np.random.default_rng(seed), **sizes)
    return scores.round(1), mated, left, right  # ties


@pytest.mark.parametrize("seed", range(3))
def test_a_replicate_is_the_metric_of_the_pairs_repeated_by_their_weights(seed):
    scores, mated, left, right = pairs_of(seed, num_people=12, mated_each=3, num_non_mated=80)
    times = np.bincount(np.random.default_rng(seed).integers(12, size=12), minlength=12)
    pairs = OrderedPairs(scores, mated, left, right)
    resample = pairs.resample(times[None])
    repeat = np.where(mated, times[left], times[left] * times[right])
    by_hand = np.repeat(scores, repeat), np.repeat(mated, repeat)

    statistics = (_EqualErrorRate(pairs, 1.0), _FnmrAtFmr(pairs, 0.2, 1.0))
    for statistic in statistics:
        statistic.tempering = 1.0  # the product weights as they are
    assert statistics[0](resample) == pytest.approx(slow.equal_error_rate(*by_hand), abs=1e-12)
    assert statistics[1](resample) == pytest.approx(slow.fnmr_at_fmr(*by_hand, 0.2)[0], abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_accuracy_of_a_replicate_is_that_of_the_pairs_repeated_by_their_weights(seed):
    scores, mated, left, right = pairs_of(seed, num_people=12, mated_each=3, num_non_mated=80)
    scores[:2] = (-9.99, 10)  # further than the papers' last threshold, and at their first
    folds, repeat = np.arange(116) % 4, np.random.default_rng(seed).integers(3, size=116)
    accuracy = _Accuracy(OrderedPairs(scores / 10, mated, left, right), scores / 10, mated, folds)
    pairs = accuracy.pairs
    found = accuracy.of(repeat[pairs.mated_order][None], repeat[pairs.non_mated_order][None])
    by_hand = k_fold_accuracy(np.repeat(scores / 10, repeat), np.repeat(mated, repeat), np.repeat(folds, repeat))
    assert found * by_hand.num_pairs == pytest.approx(by_hand.num_correct)


def test_when_everybody_is_drawn_once_the_statistic_is_the_observed_one():
    scores, mated, left, right = pairs_of(0)
    pairs = OrderedPairs(scores, mated, left, right)
    once = pairs.resample(np.ones((1, pairs.num_people), int))
    assert _EqualErrorRate(pairs, 1.0)(once) == pytest.approx(equal_error_rate(scores, mated).value, abs=1e-12)
    assert _FnmrAtFmr(pairs, 0.1, 1.0)(once) == pytest.approx(fnmr_at_fmr(scores, mated, fmr=0.1).value, abs=1e-12)


def test_replicates_drawn_together_are_those_drawn_one_by_one(monkeypatch):
    monkeypatch.setattr("marginface.metrics.drawn_pairs.AT_ONCE", 4 * 8)
    left, right = np.array([0, 0, 0, 1, 1, 2, 2, 3]), np.array([0, 0, 0, 2, 3, 3, 1, 2])
    pairs = OrderedPairs(np.arange(8.0), np.arange(8) < 3, left, right)
    together = np.concatenate([drawn.mated for drawn in pairs.replicates(5, 9)])
    alone = [drawn.mated for k in range(9) if (drawn := pairs.replicate(5, k)) is not None]
    assert len(alone) < 9  # some leave person 0 out, and with her all mated pairs
    np.testing.assert_array_equal(together, alone)


def test_tempering_is_the_ratio_of_the_two_variances_counted_pair_by_pair():
    rng = np.random.default_rng(4)
    scores, mated, left, right = people_pairs(rng, num_people=15, mated_each=1, num_non_mated=90)
    pairs = OrderedPairs(scores, mated, left, right)
    outcome = (pairs.non_mated_scores > 0.5).astype(float)
    residual = outcome - outcome.mean()
    product = one_if_shared = 0.0
    for i in range(90):
        for j in range(90):
            shared = len({pairs.left[i], pairs.right[i]} & {pairs.left[j], pairs.right[j]})
            product += (2**shared - 1) * residual[i] * residual[j]
            one_if_shared += (shared > 0) * residual[i] * residual[j]
    assert pairs.tempering(outcome) == pytest.approx((one_if_shared / product) ** 0.5)
    assert pairs.design_effect(outcome) == pytest.approx(max(one_if_shared / (residual @ residual), 1))


def test_tempering_of_pairs_that_share_nobody_is_one_over_root_three():
    scores = np.array([0.9, 0.9, 0.8, 0.2, 0.1, 0.3])
    pairs = OrderedPairs(scores, np.arange(6) < 1, np.arange(0, 12, 2), np.arange(1, 13, 2))
    assert pairs.tempering(np.array([0.0, 1.0, 0.0, 1.0, 0.0])) == pytest.approx(3**-0.5)


def test_seed_and_pair_order():
    scores, mated, left, right = pairs_of(1)
    settings = {"fmr_targets": (0.1,), "num_replicates": 50}
    first = identity_bootstrap(scores, mated, left, right, seed=3, **settings)
    order = np.random.default_rng(0).permutation(len(scores))
    again = identity_bootstrap(scores[order], mated[order], left[order], right[order], seed=3, **settings)
    assert again.equal_error_rate.low == pytest.approx(first.equal_error_rate.low, abs=1e-12)
    assert again.fnmr_at_fmr[0.1].high == pytest.approx(first.fnmr_at_fmr[0.1].high, abs=1e-12)
    assert identity_bootstrap(scores, mated, left, right, seed=4, **settings) != first
    named = identity_bootstrap(
        scores, mated, [f"p{i:03d}" for i in left], [f"p{i:03d}" for i in right], seed=3, **settings
    )
    assert named == first


def test_refused_targets_are_absent_and_the_others_contain_their_values():
    scores, mated, left, right = pairs_of(2)
    folds = np.arange(len(scores)) % 10
    found = identity_bootstrap(
        scores, mated, left, right, fmr_targets=(0.1, 0.01, 1e-4), folds=folds, num_replicates=200
    )
    assert set(found.fnmr_at_fmr) == set(found.fmr_at_threshold) == {0.1, 0.01}
    assert equal_error_rate(scores, mated).value in found.equal_error_rate
    assert fnmr_at_fmr(scores, mated, fmr=0.1).value in found.fnmr_at_fmr[0.1]
    assert fnmr_at_fmr(scores, mated, fmr=0.1).achieved_fmr in found.fmr_at_threshold[0.1]
    assert set(found.fmr_design_effect) == {0.1, 0.01}
    assert 0 < found.accuracy_variance < 0.25
    assert (found.num_identities, found.num_replicates) == (40, 200)


@pytest.mark.parametrize(
    "left, right, message",
    [
        ([1, 1, 1], [1, 1, 1], "at least two"),
        ([1, 2], [3, 4], "An identity per score"),
        (["a"] * 3, ["a", "b"], "per score"),
    ],
)
def test_identities_that_do_not_fit_are_refused(left, right, message):
    with pytest.raises(InputError, match=message):
        identity_bootstrap([0.1, 0.2, 0.9], [False, False, True], left, right)


# -- coverage by simulation --


def coverage(num_trials, *, person_noise, num_replicates, num_people=40, num_non_mated=600, mated_each=4, seed=0):
    """Return how often nominal 95 % intervals held the truth: EER, FNMR at FMR 0.1, its FMR; last, FMR by Wilson."""
    gap, target = 2.5, 0.1
    normal = NormalDist()
    true_eer, true_fnmr = normal.cdf(-gap / 2), normal.cdf(normal.inv_cdf(1 - target) - gap)
    rng = np.random.default_rng(seed)
    held = np.zeros(4)
    for trial in range(num_trials):
        scores, mated, left, right = people_pairs(
            rng,
            num_people=num_people,
            num_non_mated=num_non_mated,
            mated_each=mated_each,
            person_noise=person_noise,
            gap=gap,
        )
        found = identity_bootstrap(
            scores, mated, left, right, fmr_targets=(target,), num_replicates=num_replicates, seed=trial
        )
        non_mated = scores[~mated]
        wilson_interval = wilson(int((non_mated >= gap / 2).sum()), len(non_mated))
        held += [
            true_eer in found.equal_error_rate,
            true_fnmr in found.fnmr_at_fmr[target],
            1 - normal.cdf(fnmr_at_fmr(scores, mated, fmr=target).threshold) in found.fmr_at_threshold[target],
            true_eer in wilson_interval,  # P(non-mated >= gap / 2), a fixed threshold
        ]
    return held / num_trials


def test_where_pairs_share_people_it_covers_and_wilson_does_not():
    eer, fnmr, _, wilson_alone = coverage(60, person_noise=0.8, num_replicates=120)
    assert min(eer, fnmr) >= 0.85
    assert wilson_alone <= 0.85


@pytest.mark.slow
@pytest.mark.parametrize("person_noise", [0.0, 0.5, 0.8])
def test_it_covers_about_95_per_cent_in_a_long_simulation(person_noise):
    """600 trials: +-0.9 % is one standard error, and the bootstrap alone is what `summarise` widens."""
    eer, fnmr, _, _ = coverage(600, person_noise=person_noise, num_replicates=300, seed=1)
    assert 0.92 <= eer <= 0.985
    assert 0.92 <= fnmr <= 0.985
