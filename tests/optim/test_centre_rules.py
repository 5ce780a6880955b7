"""The rules by which a head moves its own centres are torch's optimisers, row by row."""

import pytest
import torch
from torch import nn

from marginface.optim import AdamWConfig, AdamWRule, SgdConfig, SgdRule

CONFIGS = [
    SgdConfig(lr=0.1, momentum=0.0, weight_decay=0.0),
    SgdConfig(lr=0.1, momentum=0.0, weight_decay=0.02),
    SgdConfig(lr=0.1, momentum=0.9, weight_decay=0.0),
    SgdConfig(lr=0.1, momentum=0.9, weight_decay=0.02),
    SgdConfig(lr=0.1, momentum=0.8, weight_decay=0.02, nesterov=True),
    AdamWConfig(lr=0.02, weight_decay=0.0),
    AdamWConfig(lr=0.02, weight_decay=0.3, betas=(0.7, 0.95), eps=1e-4),
]
every_rule = pytest.mark.parametrize("config", CONFIGS, ids=str)
RATES = (0.1, 0.03, 0.3, 0.05)  # a schedule changes them at each step


def zero_state(rule, rows):
    return {name: torch.zeros_like(rows) for name in rule.state_names}


def drawn_gradients():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 3, generator=generator), torch.randn(len(RATES), 6, 3, generator=generator)


@every_rule
def test_steps_are_those_of_torch(config):
    start, gradients = drawn_gradients()
    theirs, ours, rule = nn.Parameter(start.clone()), start.clone(), config.centre_rule()
    optimizer = config.build([{"params": [theirs], "name": "head", "lr_factor": 1.0}])
    state = zero_state(rule, ours)
    for step, (lr, gradient) in enumerate(zip(RATES, gradients, strict=True), start=1):
        optimizer.param_groups[0]["lr"] = lr
        theirs.grad = gradient.clone()
        optimizer.step()
        rule.move_(ours, gradient.clone(), state, lr=lr, step=step)
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-6, atol=1e-6)
    for name in rule.state_names:
        torch.testing.assert_close(state[name], optimizer.state[theirs][name], rtol=1e-6, atol=1e-6)


@every_rule
def test_rows_move_alike_whether_all_at_once_or_a_few_at_a_time(config):
    start, gradients = drawn_gradients()
    rule = config.centre_rule()
    whole, parts = start.clone(), start.clone()
    whole_state, parts_state = zero_state(rule, start), zero_state(rule, start)
    for step, gradient in enumerate(gradients, start=1):
        rule.move_(whole, gradient.clone(), whole_state, lr=0.1, step=step)
        for rows in (slice(0, 1), slice(1, 4), slice(4, 6)):
            own = {name: tensor[rows] for name, tensor in parts_state.items()}
            rule.move_(parts[rows], gradient[rows].clone(), own, lr=0.1, step=step)
    assert torch.equal(parts, whole)
    assert all(torch.equal(parts_state[name], whole_state[name]) for name in rule.state_names)


def test_an_optimiser_gives_its_rule_the_rate_and_the_decay_of_class_centres():
    head = {"head_lr_factor": 3.0, "head_weight_decay": 0.25}
    assert SgdConfig(lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.5, **head).centre_rule() == SgdRule(
        lr=pytest.approx(0.3), momentum=0.8, weight_decay=0.25, nesterov=True
    )
    assert AdamWConfig(lr=0.1, betas=(0.5, 0.6), eps=1e-3, weight_decay=0.5, **head).centre_rule() == AdamWRule(
        lr=pytest.approx(0.3), betas=(0.5, 0.6), eps=1e-3, weight_decay=0.25
    )
    assert SgdConfig(lr=0.1, weight_decay=0.5).centre_rule().weight_decay == 0.5, "null means that of the backbone"


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_rule_keeps_as_many_tensors_as_its_optimiser_counts(config):
    assert len(config.centre_rule().state_names) == config.state_tensors_per_parameter
