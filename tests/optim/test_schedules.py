"""Schedules are pure functions of the step, in [0, 1], with a linear warm-up from zero."""

import itertools
from typing import get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marginface.config import dump, load
from marginface.errors import InputError
from marginface.optim import SCHEDULES, CosineConfig, PolynomialConfig, StepConfig

EXAMPLES = {
    "step": StepConfig(milestones=(2, 3)),
    "polynomial": PolynomialConfig(power=2),
    "cosine": CosineConfig(final_factor=0.1),
}


def curve(schedule, *, epochs: int, steps_per_epoch: int) -> list[float]:
    total = epochs * steps_per_epoch
    return [schedule.factor(i, total_steps=total, steps_per_epoch=steps_per_epoch) for i in range(total)]


def test_every_schedule_has_an_example_here():
    assert set(EXAMPLES) == set(SCHEDULES)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_each_key_is_the_kind_of_its_config(kind):
    assert kind in get_args(get_type_hints(SCHEDULES[kind])["kind"])
    assert load(SCHEDULES[kind], dump(EXAMPLES[kind])) == EXAMPLES[kind]


def test_step_drops_at_the_start_of_each_milestone():
    factors = curve(StepConfig(milestones=(1, 2.5)), epochs=4, steps_per_epoch=2)
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01])
    assert curve(StepConfig(milestones=(1,), gamma=0.5), epochs=2, steps_per_epoch=2) == [1, 1, 0.5, 0.5]


def test_magface_recipe_over_25_epochs():
    schedule = StepConfig(milestones=(10, 18, 22))
    at_epoch = [schedule.factor(e * 100, total_steps=2500, steps_per_epoch=100) for e in (0, 9, 10, 17, 18, 21, 22, 24)]
    assert at_epoch == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_polynomial_written_out():
    assert curve(PolynomialConfig(power=1), epochs=1, steps_per_epoch=4) == [1, 0.75, 0.5, 0.25]
    assert curve(PolynomialConfig(power=2), epochs=1, steps_per_epoch=4) == [1, 0.5625, 0.25, 0.0625]


def test_polynomial_warm_up_rises_from_zero_and_never_starts_at_the_full_rate():
    factors = curve(PolynomialConfig(power=1, warmup_epochs=1), epochs=3, steps_per_epoch=4)
    assert factors[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert factors[4:] == [1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]


def test_cosine_written_out():
    # 0.1 + 0.9 (1 + cos(pi i / 4)) / 2
    expected = [1.0, 0.868198, 0.55, 0.231802]
    assert curve(CosineConfig(final_factor=0.1), epochs=1, steps_per_epoch=4) == pytest.approx(expected, abs=1e-6)
    assert CosineConfig(final_factor=0.1).factor(4, total_steps=4, steps_per_epoch=4) == pytest.approx(0.1)


@given(
    kind=st.sampled_from(sorted(SCHEDULES)),
    epochs=st.integers(4, 12),
    steps_per_epoch=st.integers(1, 40),
    warmup_epochs=st.sampled_from([0.0, 0.5, 1.0, 1.7]),
)
@settings(max_examples=60, deadline=None)
def test_factors_stay_within_bounds_rise_in_warm_up_and_never_rise_after(kind, epochs, steps_per_epoch, warmup_epochs):
    schedule = SCHEDULES[kind](**{**dump(EXAMPLES[kind]), "warmup_epochs": warmup_epochs})
    factors = curve(schedule, epochs=epochs, steps_per_epoch=steps_per_epoch)
    warmup_steps = round(warmup_epochs * steps_per_epoch)
    assert all(0 < f <= 1 for f in factors)
    assert all(a < b for a, b in itertools.pairwise(factors[:warmup_steps]))
    assert all(a >= b for a, b in itertools.pairwise(factors[warmup_steps:]))
    if warmup_steps:
        assert factors[0] == pytest.approx(1 / warmup_steps)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_past_the_end_the_last_value_holds(kind):
    schedule = EXAMPLES[kind]
    end = schedule.factor(40, total_steps=40, steps_per_epoch=10)
    assert schedule.factor(1000, total_steps=40, steps_per_epoch=10) == end


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: CosineConfig(warmup_epochs=-1), "warmup_epochs is -1"),
        (lambda: CosineConfig(final_factor=1.0), "final_factor is 1.0"),
        (lambda: PolynomialConfig(power=0), "power is 0"),
        (lambda: StepConfig(milestones=()), "give epochs above 0 in rising order"),
        (lambda: StepConfig(milestones=(3, 2)), "give epochs above 0 in rising order"),
        (lambda: StepConfig(milestones=(0, 2)), "give epochs above 0 in rising order"),
        (lambda: StepConfig(milestones=(2,), gamma=1.0), "gamma is 1.0"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "schedule, message",
    [
        (PolynomialConfig(warmup_epochs=2), "warmup_epochs is 2, which is all of the run's 2 epochs"),
        (StepConfig(milestones=(1, 2)), r"milestones \[1, 2\] do not fit a run of 2 epochs"),
        (StepConfig(milestones=(0.5,), warmup_epochs=1), "lies within the 1 warmup_epochs"),
    ],
)
def test_a_schedule_that_does_not_fit_the_run_is_refused(schedule, message):
    with pytest.raises(InputError, match=message):
        schedule.factor(0, total_steps=20, steps_per_epoch=10)


def test_impossible_steps_are_a_programmers_mistake():
    with pytest.raises(ValueError, match="step -1"):
        CosineConfig().factor(-1, total_steps=10, steps_per_epoch=10)
