"""Every trained parameter is in exactly one group, and norms, biases and PReLU are not decayed."""

import pytest
import torch
from torch import nn

from marginface.backbones import BACKBONES
from marginface.optim import build_param_groups


class Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.class_centres = nn.Parameter(torch.zeros(5, 8))


KINDS = [
    kind for kind in BACKBONES if kind != "iresnet2060"
]  # its 1,030 blocks are those of iresnet18, and slow to build


def groups_of(backbone, head, **settings):
    groups = build_param_groups(backbone, head, **{"lr": 0.1, "weight_decay": 5e-4, **settings})
    return {g["name"]: g for g in groups}


@pytest.mark.parametrize("kind", KINDS)
def test_every_trained_parameter_is_in_exactly_one_group(kind):
    with torch.device("meta"):
        backbone, head = BACKBONES[kind](kind=kind, embedding_dim=8).build(input_size=32), Head()
    grouped = [id(p) for g in groups_of(backbone, head).values() for p in g["params"]]
    trained = [id(p) for m in (backbone, head) for p in m.parameters() if p.requires_grad]
    assert sorted(grouped) == sorted(trained)
    assert len(set(grouped)) == len(grouped)


@pytest.mark.parametrize("kind", KINDS)
def test_norms_biases_and_prelu_are_not_decayed_and_all_else_is(kind):
    with torch.device("meta"):
        backbone = BACKBONES[kind](kind=kind, embedding_dim=8).build(input_size=32)
    groups = groups_of(backbone, Head())
    undecayed = {id(p) for p in groups["backbone_no_decay"]["params"]}
    for module in backbone.modules():
        for name, parameter in module.named_parameters(recurse=False):
            is_norm_or_prelu = isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.PReLU))
            if parameter.requires_grad:
                assert (id(parameter) in undecayed) == (is_norm_or_prelu or name in {"bias", "gamma", "gamma_xca"})
    assert groups["backbone_no_decay"]["weight_decay"] == 0.0
    assert groups["backbone"]["weight_decay"] == 5e-4


def test_head_has_its_own_rate_and_decay():
    groups = groups_of(nn.Linear(3, 8), Head(), head_lr_factor=10.0, head_weight_decay=4e-4)
    assert list(groups) == ["backbone", "backbone_no_decay", "head"]
    assert (groups["head"]["lr"], groups["head"]["lr_factor"], groups["head"]["weight_decay"]) == (1.0, 10.0, 4e-4)
    assert (groups["backbone"]["lr"], groups["backbone"]["lr_factor"]) == (0.1, 1.0)


def test_head_decays_like_the_backbone_unless_told_and_may_be_told_zero():
    assert groups_of(nn.Linear(3, 8), Head())["head"]["weight_decay"] == 5e-4
    assert groups_of(nn.Linear(3, 8), Head(), head_weight_decay=0.0)["head"]["weight_decay"] == 0.0


def test_small_parameters_of_the_head_are_not_decayed_but_learn_at_its_rate():
    head = Head()
    head.scale = nn.Parameter(torch.tensor(64.0))
    group = groups_of(nn.Linear(3, 8), head, head_lr_factor=2.0)["head_no_decay"]
    assert group["params"] == [head.scale]
    assert (group["weight_decay"], group["lr_factor"]) == (0.0, 2.0)


def test_frozen_parameters_are_in_no_group():
    backbone = nn.Linear(3, 8)
    backbone.weight.requires_grad_(False)
    assert list(groups_of(backbone, Head())) == ["backbone_no_decay", "head"]


def test_a_parameter_shared_by_both_stays_with_the_backbone():
    backbone, head = nn.Linear(8, 5), Head()
    head.class_centres = backbone.weight
    assert list(groups_of(backbone, head)) == ["backbone", "backbone_no_decay"]


def test_a_parameter_that_moves_by_itself_is_left_out():
    head = Head()
    assert list(groups_of(nn.Linear(3, 8), head, left_out=[head.class_centres])) == ["backbone", "backbone_no_decay"]
