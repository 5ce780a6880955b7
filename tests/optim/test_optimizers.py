"""Optimiser configs hand every setting to torch, and refuse those that make no sense."""

from typing import get_args, get_type_hints

import pytest
import torch
from torch import nn

from marginface.config import dump, load
from marginface.optim import OPTIMIZERS, AdamWConfig, SgdConfig, build_param_groups


def small_groups(lr: float = 0.1, weight_decay: float = 0.0):
    torch.manual_seed(0)
    return build_param_groups(nn.Linear(2, 3), nn.Linear(3, 4, bias=False), lr=lr, weight_decay=weight_decay)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_each_key_is_the_kind_of_its_config_and_survives_a_recipe(kind):
    assert kind in get_args(get_type_hints(OPTIMIZERS[kind])["kind"])
    config = OPTIMIZERS[kind](head_lr_factor=2.0, head_weight_decay=0.0)
    assert load(OPTIMIZERS[kind], dump(config)) == config


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_groups_keep_their_names_rates_and_decays_in_torch(kind):
    optimizer = OPTIMIZERS[kind]().build(small_groups(lr=0.3, weight_decay=0.2))
    assert [(g["name"], g["lr"], g["weight_decay"], g["lr_factor"]) for g in optimizer.param_groups] == [
        ("backbone", 0.3, 0.2, 1.0),
        ("backbone_no_decay", 0.3, 0.0, 1.0),
        ("head", 0.3, 0.2, 1.0),
    ]


@pytest.mark.parametrize("kind, settings", [("sgd", {}), ("sgd", {"momentum": 0.0}), ("adamw", {})])
def test_state_tensors_are_counted_truly(kind, settings):
    config = OPTIMIZERS[kind](**settings)
    optimizer = config.build(small_groups())
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            kept = [t for t in optimizer.state[parameter].values() if torch.is_tensor(t) and t.shape == parameter.shape]
            assert len(kept) == config.state_tensors_per_parameter


def test_sgd_two_steps_written_out():
    weight = nn.Parameter(torch.tensor([[1.0]]))
    config = SgdConfig(lr=0.1, momentum=0.9, weight_decay=0.5)
    group = {"params": [weight], "weight_decay": 0.5, "lr": 0.1, "name": "backbone", "lr_factor": 1.0}
    optimizer = config.build([group])
    for expected in (1 - 0.1 * 1.5, 0.85 - 0.1 * (0.9 * 1.5 + 1 + 0.425)):  # velocity = 0.9 velocity + gradient + decay
        weight.grad = torch.tensor([[1.0]])
        optimizer.step()
        assert weight.item() == pytest.approx(expected)


def test_settings_reach_torch():
    sgd = SgdConfig(momentum=0.8, nesterov=True).build(small_groups())
    assert (sgd.defaults["momentum"], sgd.defaults["nesterov"]) == (0.8, True)
    adamw = AdamWConfig(betas=(0.8, 0.9), eps=1e-6).build(small_groups())
    assert (adamw.defaults["betas"], adamw.defaults["eps"]) == ((0.8, 0.9), 1e-6)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: SgdConfig(lr=0), "lr is 0; a learning rate is above 0"),
        (lambda: SgdConfig(weight_decay=-1), "weight_decay is -1"),
        (lambda: SgdConfig(head_weight_decay=-1), "head_weight_decay -1"),
        (lambda: SgdConfig(head_lr_factor=-1), "head_lr_factor is -1"),
        (lambda: SgdConfig(momentum=1.0), "momentum is 1"),
        (lambda: SgdConfig(momentum=0.0, nesterov=True), "nesterov needs momentum"),
        (lambda: AdamWConfig(betas=(0.9, 1.0)), r"betas are \[0.9, 1.0\]"),
        (lambda: AdamWConfig(eps=0.0), "eps is 0"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
