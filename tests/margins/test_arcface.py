"""ArcFace against its definition, and the two things the codes under this name disagree about."""

import math

import pytest
import torch

from marginface.margins import ArcFaceConfig, arcface

MARGIN = 0.5
AT_PI = math.cos(math.pi - MARGIN)


def _slopes(cosines, **settings):
    cosines = torch.as_tensor(cosines, dtype=torch.float64).requires_grad_()
    penalised = ArcFaceConfig(margin=MARGIN, **settings).build()(cosines, torch.ones_like(cosines))
    return torch.autograd.grad(penalised.sum(), cosines)[0]


def test_equals_cos_of_the_angle_plus_the_margin():
    angles = torch.linspace(0.01, math.pi - MARGIN - 0.01, 500, dtype=torch.float64)
    for past_pi in ("line", "flat", "rising"):
        torch.testing.assert_close(arcface(angles.cos(), MARGIN, past_pi=past_pi), (angles + MARGIN).cos())


@pytest.mark.parametrize("past_pi", ["line", "flat"])
def test_rises_with_the_cosine_on_both_sides_of_pi(past_pi):
    for low, high in [(-1.0, AT_PI - 1e-6), (AT_PI + 1e-6, 1.0)]:
        values = arcface(torch.linspace(low, high, 2001, dtype=torch.float64), MARGIN, past_pi=past_pi)
        assert (values.diff() >= 0).all()


def test_line_jumps_down_once_from_minus_one_to_the_documented_value():
    before, after = arcface(torch.tensor([AT_PI + 1e-9, AT_PI - 1e-9], dtype=torch.float64), MARGIN)
    assert before == pytest.approx(-1.0, abs=1e-6)
    assert after == pytest.approx(AT_PI - MARGIN * math.sin(MARGIN), abs=1e-6)
    assert after == pytest.approx(-1.117, abs=1e-3)


def test_flat_has_no_jump_and_no_pull():
    below = torch.linspace(-1, AT_PI - 1e-9, 50, dtype=torch.float64)
    assert (arcface(below, MARGIN, past_pi="flat") == -1).all()
    assert (_slopes(below, past_pi="flat") == 0).all()


def test_rising_is_cos_all_the_way():
    angles = torch.linspace(math.pi - MARGIN, math.pi - 0.01, 50, dtype=torch.float64)
    torch.testing.assert_close(arcface(angles.cos(), MARGIN, past_pi="rising"), (angles + MARGIN).cos())


def test_exact_gradient_is_the_ratio_of_sines():
    angles = torch.linspace(0.05, math.pi - MARGIN - 0.01, 50, dtype=torch.float64)
    torch.testing.assert_close(_slopes(angles.cos()), (angles + MARGIN).sin() / angles.sin())
    assert _slopes([0.7]).item() == pytest.approx(1.35, abs=0.005)


@pytest.mark.parametrize("past_pi", ["line", "flat", "rising"])
def test_straight_through_has_the_same_values_and_slope_one(past_pi):
    cosines = torch.linspace(-1, 1, 101, dtype=torch.float64)
    exact = ArcFaceConfig(past_pi=past_pi).build()(cosines, cosines)
    through = ArcFaceConfig(past_pi=past_pi, gradient="straight_through").build()(cosines, cosines)
    torch.testing.assert_close(through, exact)
    assert (_slopes(cosines, past_pi=past_pi, gradient="straight_through") == 1).all()


def test_no_margin_is_no_change():
    cosines = torch.linspace(-1, 1, 101, dtype=torch.float64)
    assert torch.equal(arcface(cosines, 0.0), cosines)
