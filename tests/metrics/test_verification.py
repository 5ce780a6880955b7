"""Claims about verification metrics, against scikit-learn, closed forms and slow loops."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import det_curve, roc_auc_score

from marginface.errors import InputError
from marginface.metrics import (
    area_under_roc,
    best_accuracy,
    d_prime,
    equal_error_rate,
    error_rates,
    fmr_support,
    fnmr_at_fmr,
    score_histogram,
    sort_scores,
)
from tests.helpers import reference_metrics as slow
from tests.helpers.scores import bells

quick = settings(deadline=None, max_examples=50)
comparisons = st.lists(st.tuples(st.integers(-8, 8), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: len({mated for _, mated in rows}) == 2
)
"""Few distinct values, so that ties abound."""


def columns(rows):
    return np.array([score / 8 for score, _ in rows]), np.array([mated for _, mated in rows])


# -- the curve --


@pytest.mark.parametrize("decimals", [None, 1])
def test_curve_equals_scikit_learns(decimals):
    scores, mated = bells(decimals=decimals)
    fmr, fnmr, thresholds = det_curve(mated, scores)
    ours = error_rates(scores, mated)
    at = np.searchsorted(ours.thresholds, thresholds[np.isfinite(thresholds)])  # theirs leaves collinear ends out
    np.testing.assert_array_equal(ours.thresholds[at], thresholds[np.isfinite(thresholds)])
    np.testing.assert_allclose(ours.fmr[at], fmr[np.isfinite(thresholds)], rtol=0, atol=1e-15)
    np.testing.assert_allclose(ours.fnmr[at], fnmr[np.isfinite(thresholds)], rtol=0, atol=1e-15)


@quick
@given(comparisons)
def test_curve_equals_counting_by_hand(rows):
    scores, mated = columns(rows)
    ours = error_rates(scores, mated)
    expected = slow.curve(scores, mated)
    assert ours.thresholds[:-1].tolist() == [t for t, _, _ in expected[:-1]]
    assert ours.fmr.tolist() == [fmr for _, fmr, _ in expected]
    assert ours.fnmr.tolist() == [fnmr for _, _, fnmr in expected]


def test_thinned_curve_keeps_exact_points_and_both_ends():
    curve = error_rates(*bells(20_000, 30_000))
    thin = curve.thinned(200)
    assert 100 < len(thin.thresholds) <= 200
    at = np.searchsorted(curve.thresholds, thin.thresholds)
    np.testing.assert_array_equal(curve.false_matches[at], thin.false_matches)
    np.testing.assert_array_equal(curve.false_non_matches[at], thin.false_non_matches)
    assert (thin.fmr[0], thin.fnmr[0], thin.fmr[-1], thin.fnmr[-1]) == (1, 0, 0, 1)
    assert curve.thinned(10**6) is curve
    assert {1, 2, 3} <= set(thin.false_matches.tolist())  # the tail, where it matters, is not thinned away


# -- FNMR at FMR --


@quick
@given(comparisons, st.sampled_from([0.1, 0.25, 1 / 3, 0.5, 0.9]))
def test_fnmr_at_fmr_is_the_lowest_threshold_within_the_target(rows, fmr):
    scores, mated = columns(rows * 30)  # enough non-mated pairs that nothing is refused
    point = fnmr_at_fmr(scores, mated, fmr=fmr)
    fnmr, achieved, threshold = slow.fnmr_at_fmr(scores, mated, fmr)
    assert (point.value, point.achieved_fmr) == (fnmr, achieved)
    assert slow.rates_at(scores, mated, point.threshold) == (achieved, fnmr)
    assert threshold == point.threshold or threshold == float("inf")


def test_the_achieved_fmr_never_exceeds_the_target_where_the_nearest_point_would():
    non_mated = np.arange(100) / 100
    mated = np.full(10, 0.985)
    scores, kinds = np.concatenate([non_mated, mated]), np.arange(110) >= 100
    point = fnmr_at_fmr(scores, kinds, fmr=0.0399)  # nearest: FMR 0.04
    assert point.achieved_fmr == 0.03
    assert point.false_matches == 3
    assert point.threshold == 0.97


def test_tied_non_mated_scores_fall_together():
    scores = np.array([0.5] * 50 + [0.1] * 950 + [0.5, 0.9])
    mated = np.arange(1002) >= 1000
    point = fnmr_at_fmr(scores, mated, fmr=0.04)
    assert (point.achieved_fmr, point.value, point.threshold) == (0.0, 0.5, 0.9)


def test_a_target_of_29_in_100_allows_29_though_the_product_rounds_to_less():
    assert int(0.29 * 100) == 28
    point = fnmr_at_fmr(np.arange(101.0), np.arange(101) == 100, fmr=0.29)
    assert (point.false_matches, point.achieved_fmr) == (29, 0.29)


def test_where_nothing_may_match_the_threshold_is_one_step_above_the_highest_score():
    scores = np.array([0.9] * 100 + [0.2] * 5, np.float32)
    mated = np.arange(105) >= 100
    point = fnmr_at_fmr(scores, mated, fmr=0.5)
    assert (point.value, point.achieved_fmr, point.false_matches) == (1.0, 0.0, 0)
    assert not (scores >= point.threshold).any()  # in float32 too: the threshold does not round onto the score


def test_a_printed_threshold_decides_as_it_was_counted_in_float32():
    scores, mated = bells(500, 3000, seed=3)
    scores = scores.astype(np.float32)
    point = fnmr_at_fmr(scores, mated, fmr=0.01)
    assert int((scores[~mated] >= point.threshold).sum()) == point.false_matches == 30
    assert int((scores[mated] < point.threshold).sum()) == point.false_non_matches


@pytest.mark.parametrize(
    "num_non_mated, fmr, support",
    [(3000, 1e-2, "supported"), (2999, 1e-2, "thin"), (3000, 1e-3, "thin"), (2999, 1e-3, "refused")],
)
def test_support_follows_the_rules_of_thirty_and_three(num_non_mated, fmr, support):
    assert fmr_support(num_non_mated, fmr) == support
    point = fnmr_at_fmr(np.arange(num_non_mated + 1.0), np.arange(num_non_mated + 1) == num_non_mated, fmr=fmr)
    assert point.support == support
    assert (point.value is None) == (support == "refused")
    assert (point.num_mated, point.num_non_mated) == (1, num_non_mated)


# -- EER, area, d', accuracy --


@quick
@given(comparisons)
def test_eer_equals_the_crossing_of_the_curves_segments(rows):
    scores, mated = columns(rows)
    assert equal_error_rate(scores, mated).value == pytest.approx(slow.equal_error_rate(scores, mated), abs=1e-12)


def test_gaussian_scores_reach_their_closed_forms():
    gap, num = 2.0, 200_000
    scores, mated = bells(num, num, gap=gap, seed=1)
    normal = NormalDist()
    eer = equal_error_rate(scores, mated)
    assert eer.value == pytest.approx(normal.cdf(-gap / 2), abs=0.002)
    assert eer.threshold == pytest.approx(gap / 2, abs=0.01)
    assert area_under_roc(scores, mated) == pytest.approx(normal.cdf(gap / 2**0.5), abs=0.002)
    assert d_prime(scores, mated) == pytest.approx(gap, abs=0.01)
    assert best_accuracy(scores, mated).value == pytest.approx(normal.cdf(gap / 2), abs=0.002)
    fnmr = fnmr_at_fmr(scores, mated, fmr=0.01).value
    assert fnmr == pytest.approx(normal.cdf(normal.inv_cdf(0.99) - gap), abs=0.01)


def test_eer_of_all_equal_scores_is_a_half_and_of_separated_ones_zero():
    assert equal_error_rate([0.3] * 5, [True, False, False, True, False]).value == 0.5
    eer = equal_error_rate([0.1, 0.2, 0.7, 0.8], [False, False, True, True])
    assert (eer.value, eer.threshold) == (0.0, 0.7)
    assert equal_error_rate([0.1, 0.2, 0.7, 0.8], [True, True, False, False]).value == 1.0


@quick
@given(comparisons)
def test_area_equals_scikit_learns(rows):
    scores, mated = columns(rows)
    assert area_under_roc(scores, mated) == pytest.approx(roc_auc_score(mated, scores), abs=1e-12)


@quick
@given(comparisons)
def test_best_accuracy_is_the_best_of_all_thresholds_and_its_threshold_reaches_it(rows):
    scores, mated = columns(rows)
    best = best_accuracy(scores, mated)
    by_hand = max(float(np.mean((scores >= t) == mated)) for t in [*scores, np.inf])
    assert best.value == by_hand == float(np.mean((scores >= best.threshold) == mated))


def test_of_equally_good_thresholds_the_highest_is_taken():
    best = best_accuracy([0.1, 0.2, 0.3, 0.4], [False, True, False, True])  # from 0.15 and from 0.35: three of four
    assert (best.num_correct, best.threshold) == (3, pytest.approx(0.35))


def test_d_prime_is_none_without_spread():
    assert d_prime([0.0, 1.0], [False, True]) is None


def test_histogram_counts_every_score():
    scores, mated = bells()
    histogram = score_histogram(scores, mated, num_bins=17)
    assert (histogram.mated.sum(), histogram.non_mated.sum()) == (300, 400)
    assert (len(histogram.edges), histogram.edges[0], histogram.edges[-1]) == (18, scores.min(), scores.max())
    assert score_histogram([0.5, 0.5], [True, False], num_bins=4).mated.sum() == 1


# -- properties --


def rates(scores, mated):
    point = fnmr_at_fmr(scores, mated, fmr=0.3)
    return (
        equal_error_rate(scores, mated).value,
        (point.value, point.achieved_fmr, point.false_matches, point.support),
        area_under_roc(scores, mated),
        best_accuracy(scores, mated).value,
    )


@quick
@given(comparisons, st.sampled_from([lambda s: s**3, np.exp, lambda s: 4 * s - 1, np.arctan]))
def test_a_monotone_transform_leaves_all_rates(rows, transform):
    scores, mated = columns(rows)
    assert rates(transform(scores), mated) == rates(scores, mated)


@quick
@given(comparisons, st.randoms(use_true_random=False))
def test_the_order_of_pairs_changes_nothing(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert rates(*columns(shuffled)) == rates(*columns(rows))
    assert d_prime(*columns(shuffled)) == d_prime(*columns(rows))


@quick
@given(comparisons)
def test_shifting_all_scores_shifts_thresholds_only(rows):
    scores, mated = columns(rows)
    assert rates(scores + 0.5, mated) == rates(scores, mated)
    for metric in (equal_error_rate, best_accuracy):
        shifted, original = metric(scores + 0.5, mated), metric(scores, mated)
        assert shifted.threshold == pytest.approx(original.threshold + 0.5)


def test_sorting_once_gives_the_same_numbers():
    scores, mated = bells()
    ordered = sort_scores(scores, mated)
    assert rates(ordered, None) == rates(scores, mated)
    assert sort_scores(ordered) is ordered


# -- refusals --


@pytest.mark.parametrize(
    "scores, mated, message",
    [
        ([0.1, 0.2], [False, False], "None of the 2 comparisons is mated"),
        ([0.1, 0.2], [True, True], "None of the 2 comparisons is non-mated"),
        ([0.1, float("nan"), 0.3], [True, False, False], r"1 of 3 scores are NaN .* at position 1"),
        ([0.1, float("inf")], [True, False], "NaN or infinite"),
        ([0.1, 0.2, 0.3], [True, False], "One `mated` per score"),
        ([[0.1], [0.2]], [True, False], "One `mated` per score"),
        ([0.1, 0.2], [2, 0], "true or false"),
        ([0.1, 0.2], None, "Scores need `mated`"),
    ],
)
def test_scores_that_mean_nothing_are_refused(scores, mated, message):
    with pytest.raises(InputError, match=message):
        equal_error_rate(scores, mated)


@pytest.mark.parametrize("fmr", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_target_outside_0_to_1_is_refused(fmr):
    with pytest.raises(InputError, match="between 0 and 1"):
        fnmr_at_fmr([0.1, 0.2], [False, True], fmr=fmr)
