"""SphereFace and Combined against their definition on angles, and against the margins they contain."""

import math

import pytest
import torch

from marginface.margins import CombinedConfig, SphereFaceConfig, arcface, combined, cosface, sphereface

angles = torch.linspace(0.01, math.pi - 0.01, 700, dtype=torch.float64)


def psi(phi):
    """The continuation of the SphereFace paper, one angle at a time."""
    k = int(phi // math.pi)
    return (-1) ** k * math.cos(phi) - 2 * k


@pytest.mark.parametrize("factor", [1.0, 1.35, 2.0, 4.0])
def test_sphereface_is_psi_of_the_multiplied_angle(factor):
    expected = torch.tensor([psi(factor * theta) for theta in angles.tolist()], dtype=torch.float64)
    torch.testing.assert_close(sphereface(angles.cos(), factor), expected)


@pytest.mark.parametrize("factor", [1.35, 4.0])
def test_sphereface_falls_without_a_jump_over_all_angles(factor):
    values = sphereface(torch.linspace(1, -1, 100_001, dtype=torch.float64), factor)
    steps = values.diff()
    assert (steps <= 0).all()
    assert steps.abs().max() < 0.02
    assert values[-1] == pytest.approx(psi(factor * math.pi), abs=1e-3)  # arccos is held 1e-7 from -1


def test_factor_four_ends_at_minus_seven():
    assert SphereFaceConfig(angle_factor=4.0).build()(torch.tensor([-1.0]), torch.ones(1)).item() == pytest.approx(-7)


def test_combined_applies_all_three_at_once():
    # theta = 1: cos(0.9 * 1 + 0.4) - 0.15; insightface's code gives cos(1) - 0.15 here
    margin = CombinedConfig(angle_factor=0.9, angle_margin=0.4, cosine_margin=0.15).build()
    value = margin(torch.tensor([math.cos(1.0)], dtype=torch.float64), torch.ones(1))
    assert value.item() == pytest.approx(math.cos(1.3) - 0.15)


def test_combined_contains_the_others():
    cosines = angles.cos()
    alone = {"angle_factor": 1.0, "angle_margin": 0.0, "cosine_margin": 0.0}
    torch.testing.assert_close(combined(cosines, **alone), cosines)
    torch.testing.assert_close(combined(cosines, **alone | {"angle_factor": 1.35}), sphereface(cosines, 1.35))
    torch.testing.assert_close(combined(cosines, **alone | {"cosine_margin": 0.4}), cosface(cosines, 0.4))
    before_pi = angles < math.pi - 0.5
    with_angle = combined(cosines, **alone | {"angle_margin": 0.5})
    torch.testing.assert_close(with_angle[before_pi], arcface(cosines, 0.5)[before_pi])
    assert (with_angle[~before_pi] <= -1).all()  # past pi it goes on falling, without ArcFace's jump


@pytest.mark.parametrize("settings", [(1.0, 0.3, 0.2), (0.9, 0.4, 0.15), (2.5, 0.5, 0.1)])
def test_combined_never_falls_as_the_cosine_rises(settings):
    names = ("angle_factor", "angle_margin", "cosine_margin")
    cosines = torch.linspace(-1, 1, 20_001, dtype=torch.float64)
    values = combined(cosines, **dict(zip(names, settings, strict=True)))
    assert (values.diff() >= 0).all()
    assert (values <= cosines + 1e-6).all()


def test_slopes_are_those_of_the_formula():
    cosines = angles.cos().requires_grad_()
    factor, margin = 1.35, 0.3
    away = (factor * angles + margin - math.pi).abs() > 1e-3
    values = combined(cosines, angle_factor=factor, angle_margin=margin, cosine_margin=0.2)
    (slopes,) = torch.autograd.grad(values.sum(), cosines)
    expected = factor * (factor * angles + margin).sin().abs() / angles.sin()
    torch.testing.assert_close(slopes[away], expected[away])
