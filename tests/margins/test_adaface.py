"""AdaFace: what z does, the order of the running statistics, and what must never enter them."""

import copy
import math

import pytest
import torch

from marginface.errors import InputError
from marginface.heads import DenseHeadConfig
from marginface.margins import AdaFaceConfig, adaface, arcface

angles = torch.linspace(0.1, math.pi - 0.5, 200, dtype=torch.float64)
MEASURED = torch.tensor([10.0, 30.0])


def test_z_goes_from_arcface_over_cosface_to_a_negative_angle():
    cosines = angles.cos()
    for z, expected in ((-1.0, arcface(cosines, 0.4)), (0.0, cosines - 0.4)):
        torch.testing.assert_close(adaface(cosines, torch.full_like(cosines, z), 0.4), expected)
    easy = adaface(cosines, torch.ones_like(cosines), 0.4)[angles > 0.41]
    torch.testing.assert_close(easy, ((angles - 0.4).cos() - 0.8)[angles > 0.41])


def test_statistics_are_updated_first_and_used_then():
    margin = AdaFaceConfig().build()
    cosines = torch.tensor([0.3, 0.3], dtype=torch.float64)
    penalised = margin(cosines, MEASURED.double())
    assert margin.batch_mean.item() == pytest.approx(20.0)
    assert margin.batch_std.item() == pytest.approx(99.141418, abs=1e-5)  # 0.01 * 14.142136 + 0.99 * 100
    z = 0.333 * 10.0 / (99.141418 + 1e-3)
    expected = [math.cos(math.acos(0.3) - 0.4 * s * z) - 0.4 * (1 + s * z) for s in (-1, 1)]
    torch.testing.assert_close(penalised, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-8)


def test_sigma_comes_down_as_slowly_as_published():
    margin = AdaFaceConfig().build()
    batch = 25 + 3 * torch.linspace(-1.5, 1.5, 64) / torch.linspace(-1.5, 1.5, 64).std()
    after = {}
    for step in range(1, 501):
        margin(torch.zeros(64), batch)
        after[step] = margin.batch_std.item()
    assert [after[s] for s in (100, 300, 500)] == pytest.approx([38.5, 7.8, 3.6], abs=0.1)


def test_evaluation_leaves_the_statistics_alone():
    margin = AdaFaceConfig().build().eval()
    margin(torch.zeros(2), MEASURED)
    assert (margin.batch_mean.item(), margin.batch_std.item()) == (20.0, 100.0)


def test_a_batch_of_one_moves_the_mean_alone_and_poisons_nothing():
    margin = AdaFaceConfig().build()
    penalised = margin(torch.tensor([0.5]), torch.tensor([30.0]))
    assert penalised.isfinite().all()
    assert margin.batch_mean.item() == pytest.approx(20.1)
    assert margin.batch_std.item() == 100.0


def test_norms_are_clipped_and_get_no_gradient():
    margin = AdaFaceConfig(ema_weight=1.0).build()
    lengths = torch.tensor([0.0, 1e6], requires_grad=True)
    cosines = torch.tensor([0.2, 0.4], requires_grad=True)
    margin(cosines, lengths).sum().backward()
    assert lengths.grad is None
    assert cosines.grad.isfinite().all()
    assert margin.batch_mean.item() == pytest.approx((1e-3 + 100) / 2)


def test_equal_norms_have_no_spread_and_stay_finite():
    margin = AdaFaceConfig(ema_weight=1.0).build()
    penalised = margin(torch.linspace(-1, 1, 9), torch.full((9,), 57.3))
    assert margin.batch_std.item() == pytest.approx(0.0, abs=1e-4)
    assert penalised.isfinite().all()


def test_a_warm_start_sets_both_statistics_from_a_first_pass():
    margin = AdaFaceConfig().build()
    lengths = 15 + 2 * torch.randn(1000, generator=torch.Generator().manual_seed(0))
    margin.warm_start(lengths)
    assert margin.batch_mean.item() == pytest.approx(lengths.mean().item(), rel=1e-5)
    assert margin.batch_std.item() == pytest.approx(lengths.std().item(), rel=1e-4)
    with pytest.raises(InputError, match="at least two norms"):
        margin.warm_start(torch.tensor([3.0]))
    with pytest.raises(InputError, match="not all finite"):
        margin.warm_start(torch.tensor([3.0, math.nan]))
    assert margin.batch_mean.item() == pytest.approx(lengths.mean().item(), rel=1e-5)


def test_buffers_are_the_same_memory_before_and_after_and_travel_with_the_head():
    head = DenseHeadConfig(margin=AdaFaceConfig()).build(num_classes=5, embedding_dim=8)
    place = head.margin.batch_mean.data_ptr()
    head(torch.randn(6, 8), torch.arange(6) % 5)
    assert head.margin.batch_mean.data_ptr() == place
    assert {"margin.batch_mean", "margin.batch_std"} <= set(head.state_dict())
    assert not head.margin.batch_mean.requires_grad


def test_a_negative_concentration_turns_quality_round():
    cosines, lengths = torch.full((2,), 0.3), torch.tensor([10.0, 30.0])
    plain, turned = (AdaFaceConfig(concentration=h).build() for h in (0.333, -0.333))
    torch.testing.assert_close(plain(cosines, lengths), turned(cosines, lengths).flip(0))


def test_copies_keep_statistics_of_their_own():
    margin = AdaFaceConfig().build()
    twin = copy.deepcopy(margin)
    margin(torch.zeros(2), MEASURED)
    assert twin.batch_std.item() == 100.0
