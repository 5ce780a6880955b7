"""What is particular to IR: the shortcut that learns nothing, squeeze-and-excitation, the untrained last norm."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from marginface.backbones import IrConfig, MultiFaceIrConfig
from marginface.backbones.ir import IrBlock, SqueezeExcitation


@pytest.mark.parametrize("stride, side", [(1, 7), (2, 7), (2, 8)])
def test_picked_pixels_are_bit_for_bit_those_of_a_max_pool(stride, side):
    block = IrBlock(nn.Sequential(nn.Conv2d(4, 4, 1, stride=stride)), 4, 4, stride=stride)
    nn.init.zeros_(block.res_layer[0].weight)
    nn.init.zeros_(block.res_layer[0].bias)
    x = torch.randn(2, 4, side, side, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.equal(block(x), F.max_pool2d(x, 1, stride))
    (gradient,) = torch.autograd.grad(block(x).square().sum(), x)
    (expected,) = torch.autograd.grad(F.max_pool2d(x, 1, stride).square().sum(), x)
    assert torch.equal(gradient, expected)


def test_no_pooling_is_left():
    backbone = IrConfig(kind="ir18", embedding_dim=8).build(input_size=16)
    assert not any("Pool" in type(m).__name__ for m in backbone.modules())


def test_excitation_written_out():
    excite = SqueezeExcitation(16)  # one channel in the middle
    nn.init.constant_(excite.fc1.weight, 0.5)
    excite.fc2.weight.data[:, 0, 0, 0] = torch.linspace(-1, 1, 16)
    x = torch.ones(1, 16, 2, 2)
    x[:, :8] = 3.0  # the mean over channels is 2, times 0.5 and summed over 16 channels: 16
    expected = x * torch.sigmoid(16 * torch.linspace(-1, 1, 16)).view(1, 16, 1, 1)
    torch.testing.assert_close(excite(x), expected)


@pytest.mark.parametrize("config, is_trained", [(IrConfig(kind="ir18"), False), (MultiFaceIrConfig(), True)])
def test_last_norm_is_trained_by_multiface_only(config, is_trained):
    with torch.device("meta"):
        last_norm = config.build().output_layer[4]
    assert last_norm.affine == is_trained


@pytest.mark.parametrize("config, probability", [(IrConfig(), 0.4), (MultiFaceIrConfig(), 0.6)])
def test_dropout_is_the_published_one_unless_told_otherwise(config, probability):
    assert config.dropout == probability
    changed = type(config)(dropout=0.25)
    with torch.device("meta"):
        assert changed.build().output_layer[1].p == 0.25
    with pytest.raises(ValueError, match=r"dropout is 1.0; it is a probability"):
        type(config)(dropout=1.0)


def test_batch_norms_have_torchs_settings():
    with torch.device("meta"):
        norms = [m for m in IrConfig().build().modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert {(m.eps, m.momentum) for m in norms} == {(1e-5, 0.1)}


def test_initial_deviations():
    # Kaiming over fan-out: sqrt(2 / (128 * 9)) = 0.04167, and sqrt(2 / 64) = 0.17678 for the linear layer;
    # MultiFace keeps torch's: uniform up to 1 / sqrt(fan-in), whose deviation is 1 / sqrt(3 * 64 * 9) = 0.02406
    backbone = IrConfig(kind="ir18", embedding_dim=64).build(input_size=16)
    assert backbone.body[2].res_layer[1].weight.std().item() == pytest.approx(0.04167, rel=0.02)
    assert backbone.output_layer[3].weight.std().item() == pytest.approx(0.17678, rel=0.02)
    assert not backbone.output_layer[3].bias.any()
    published = MultiFaceIrConfig(embedding_dim=64).build(input_size=16)
    assert published.body[0].res_layer[1].weight.std().item() == pytest.approx(0.02406, rel=0.02)
