"""Claims about error versus discard curves: the definition, ties, the two thresholds, the band."""

from __future__ import annotations

import numpy as np
import pytest

from marginface.errors import InputError
from marginface.metrics import fnmr_at_fmr
from marginface.metrics.discard import (
    STEPS,
    area_difference,
    error_versus_discard,
    errors_versus_discard,
    pair_quality,
)
from tests.helpers.scores import bells, people_pairs


def by_hand(scores, mated, quality, share, fmr):
    """Leave out the worst pairs one by one: the definition, where no two qualities are equal."""
    threshold = fnmr_at_fmr(scores, mated, fmr=fmr).threshold
    order = np.argsort(quality[mated])
    left = scores[mated][order][round(share * mated.sum()) :]
    return (left < threshold).mean()


def test_it_is_the_fnmr_of_what_is_left():
    scores, mated = bells(num_mated=200, num_non_mated=400, decimals=1)
    quality = np.random.default_rng(1).permutation(600).astype(float)
    curve = error_versus_discard(scores, mated, quality, fmr=0.05)
    for step in (0, 10, 50, 95):
        assert curve.fnmr[step] == pytest.approx(by_hand(scores, mated, quality, STEPS[step], 0.05))
    assert set(curve.threshold) == {fnmr_at_fmr(scores, mated, fmr=0.05).threshold}


def test_the_quality_of_a_pair_is_that_of_its_worse_image():
    assert pair_quality([1, 5], [3, 2]).tolist() == [1, 2]


@pytest.mark.parametrize("rule", ["fixed", "retuned"])
def test_a_quality_that_says_the_same_of_all_draws_the_line_of_random_discarding(rule):
    scores, mated = bells(num_mated=300, num_non_mated=2000)
    curve = error_versus_discard(scores, mated, np.ones(2300), fmr=0.05, rule=rule)
    assert curve.fnmr == pytest.approx(np.full(len(STEPS), curve.random), abs=1e-12)
    assert curve.gain == pytest.approx(0, abs=1e-9)


def test_within_a_tie_the_curve_is_the_mean_over_random_orders():
    scores, mated = bells(num_mated=60, num_non_mated=400, seed=3)
    rng = np.random.default_rng(0)
    quality = rng.integers(3, size=460).astype(float)
    curve = error_versus_discard(scores, mated, quality, fmr=0.05)
    shuffled = [by_hand(scores, mated, quality + rng.random(460) / 2, 0.1, 0.05) for _ in range(1000)]
    assert curve.fnmr[10] == pytest.approx(np.mean(shuffled), abs=4 * np.std(shuffled) / 1000**0.5)


def test_an_oracle_reaches_the_ideal_bound_and_its_opposite_does_worse_than_random():
    scores, mated = bells(num_mated=300, num_non_mated=1000)
    oracle = error_versus_discard(scores, mated, scores, fmr=0.02)
    assert oracle.fnmr == pytest.approx(oracle.ideal, abs=1e-12)
    assert oracle.gain == pytest.approx(1)
    assert error_versus_discard(scores, mated, -scores, fmr=0.02).gain < 0


def test_the_retuned_threshold_is_that_of_the_non_mated_pairs_left():
    scores, mated = bells(num_mated=200, num_non_mated=1000, decimals=2)
    quality = np.random.default_rng(2).permutation(1200).astype(float)
    curve = error_versus_discard(scores, mated, quality, fmr=0.05, rule="retuned")
    cut = np.sort(quality[mated])[40]  # a fifth of the mated pairs is worse
    left = quality >= cut
    expected = fnmr_at_fmr(scores[left], mated[left], fmr=0.05)
    assert curve.fnmr[20] == pytest.approx(expected.value)
    assert curve.fnmr[0] == pytest.approx(fnmr_at_fmr(scores, mated, fmr=0.05).value)
    too_low = scores[left & ~mated][scores[left & ~mated] < expected.threshold].max()
    assert too_low < curve.threshold[20] <= expected.threshold


def test_the_retuned_curve_stops_where_the_strangers_left_cannot_carry_the_rate():
    scores, mated = bells(num_mated=200, num_non_mated=1000)
    curve = error_versus_discard(scores, mated, np.arange(1200.0), fmr=0.01, rule="retuned", area_limit=0.9)
    assert np.isfinite(curve.fnmr[60])
    assert np.isnan(curve.fnmr[80])
    assert (curve.area, curve.gain) == (None, None)


def test_the_band_holds_the_curve_and_replicates_belong_together():
    rng = np.random.default_rng(5)
    scores, mated, left, right = people_pairs(rng)
    people = {"identity_left": left, "identity_right": right, "fmr": 0.05}
    good = error_versus_discard(scores, mated, scores + rng.normal(0, 1, len(scores)), **people)
    noise = error_versus_discard(scores, mated, rng.normal(size=len(scores)), **people)
    assert ((good.low <= good.fnmr) & (good.fnmr <= good.high)).all()
    assert good.area in good.area_interval
    assert area_difference(good, noise).high < 0
    assert 0.0 in area_difference(good, good)
    with pytest.raises(ValueError, match="not of the same pairs"):
        area_difference(good, error_versus_discard(scores, mated, scores, fmr=0.1))


def coverage(num_trials, *, person_noise, num_replicates):
    """Return how often the 95 % band held the true FNMR at 20 % discarded, and the area's interval the true area.

    The quality is that of the people and of the pair alike: score plus unit noise, so the truth follows from a sample
    of 200,000 independent pairs with the same two marginal bells.
    """
    rng = np.random.default_rng(11)
    truth = np.random.default_rng(12)
    score = np.concatenate([truth.normal(2.5, 1, 100_000), truth.normal(0, 1, 100_000)])
    kinds = np.arange(200_000) < 100_000
    true = error_versus_discard(score, kinds, score + truth.normal(0, 1, 200_000), fmr=0.1)
    held = np.zeros(2)
    for trial in range(num_trials):
        scores, mated, left, right = people_pairs(rng, num_people=60, num_non_mated=900, person_noise=person_noise)
        found = error_versus_discard(
            scores,
            mated,
            scores + rng.normal(0, 1, len(scores)),
            fmr=0.1,
            identity_left=left,
            identity_right=right,
            num_replicates=num_replicates,
            seed=trial,
        )
        held += [found.low[20] <= true.fnmr[20] <= found.high[20], true.area in found.area_interval]
    return held / num_trials


def test_the_band_covers_where_pairs_share_people():
    band, area = coverage(25, person_noise=0.7, num_replicates=60)
    assert min(band, area) >= 0.8


@pytest.mark.slow
@pytest.mark.parametrize("person_noise", [0.0, 0.7])
def test_the_band_covers_about_95_per_cent_in_a_long_simulation(person_noise):
    band, area = coverage(500, person_noise=person_noise, num_replicates=200)
    assert 0.92 <= area <= 0.98
    assert band >= 0.92  # the wider of two: it may hold more often


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"quality": [1.0]}, "One quality per comparison"),
        ({"quality": np.full(500, np.nan)}, "not finite"),
        ({"fmr": 1e-3}, "cannot support FMR 0.001: .* 3,000 are the least"),
        ({"area_limit": 0.0}, "area_limit is 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(settings, message):
    scores, mated = bells(num_mated=100, num_non_mated=400)
    quality = settings.pop("quality", np.ones(500))
    with pytest.raises(InputError, match=message):
        error_versus_discard(scores, mated, quality, **settings)


def test_known_errors_draw_the_curve_that_their_threshold_draws():
    scores, mated = bells(num_mated=300, num_non_mated=1000)
    quality = np.random.default_rng(2).integers(40, size=1300).astype(float)
    by_threshold = error_versus_discard(scores, mated, quality, fmr=0.05)
    wrong = scores[mated] < by_threshold.threshold[0]
    people = np.arange(300) // 3
    found = errors_versus_discard(wrong, quality[mated], person=people, num_replicates=50)
    assert found.fnmr == pytest.approx(by_threshold.fnmr)
    assert (found.gain, found.area) == (pytest.approx(by_threshold.gain), pytest.approx(by_threshold.area))
    assert found.num_replicates == 50
    assert found.area_interval.low < found.area < found.area_interval.high
    assert (found.low <= found.fnmr).all()
    with pytest.raises(InputError, match="at least one"):
        errors_versus_discard([], [])
