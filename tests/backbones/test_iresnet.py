"""What is particular to iResNet: the fixed last scale, dropout, BatchNorm settings, initialisation."""

import pytest
import torch
from torch import nn

from marginface.backbones import IResNetConfig


def small(**settings) -> nn.Module:
    return IResNetConfig(kind="iresnet18", embedding_dim=16, **settings).build(input_size=16)


def test_scale_of_the_last_norm_is_one_and_not_trained_but_its_bias_is():
    features = small().features
    assert torch.equal(features.weight, torch.ones(16))
    assert not features.weight.requires_grad
    assert features.bias.requires_grad


def test_batch_norm_settings_reach_every_norm():
    norms = [m for m in small(bn_eps=2e-5, bn_momentum=0.9).modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert {(m.eps, m.momentum) for m in norms} == {(2e-5, 0.9)}
    assert len(norms) == 1 + 8 * 3 + 4 + 1 + 1


@pytest.mark.parametrize("unit, drops_whole_channels", [("channel", True), ("value", False)])
def test_dropout_drops_values_or_whole_channels(unit, drops_whole_channels):
    backbone = IResNetConfig(kind="iresnet18", embedding_dim=16, dropout=0.5, dropout_unit=unit).build(input_size=32)
    seen = []
    backbone.fc.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    backbone(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    zeros_per_channel = (seen[0].view(2, 512, 4) == 0).sum(dim=2)
    assert (zeros_per_channel > 0).any()
    assert set(zeros_per_channel.unique().tolist()) <= {0, 4} if drops_whole_channels else {1, 2, 3}
    assert (zeros_per_channel.unique().numel() == 2) == drops_whole_channels


def test_without_dropout_training_mode_is_deterministic():
    backbone = small()
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(backbone(images), backbone(images))


def test_initial_deviation_of_convolutions():
    # Kaiming over fan-out: sqrt(2 / (64 * 9)) = 0.0589
    for settings, deviation in [({}, 0.1), ({"conv_init": "kaiming"}, 0.0589)]:
        weight = small(**settings).layer1[0].conv2.weight
        assert weight.std().item() == pytest.approx(deviation, rel=0.02)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"dropout": 1.0}, r"dropout is 1.0; it is a probability"),
        ({"bn_eps": 0.0}, r"bn_eps 0.0 must be above 0"),
        ({"bn_momentum": 1.5}, r"bn_momentum 1.5 in \(0, 1\]"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        IResNetConfig(**settings)
