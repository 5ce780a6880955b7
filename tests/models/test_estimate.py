"""The memory estimate counts what a real training pass saves, without running one."""

import pytest
import torch
from torch import nn

from marginface.backbones import BACKBONES, IResNetConfig
from marginface.models import count_parameters, estimate_training_memory
from marginface.models.estimate import measure_activations


def really_saved(backbone: nn.Module, images: torch.Tensor) -> int:
    saved = {}

    def keep(tensor):
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        backbone(images)
    weights = {t.untyped_storage().data_ptr() for t in (*backbone.parameters(), *backbone.buffers())}
    return sum(t.untyped_storage().nbytes() for pointer, t in saved.items() if pointer not in weights)


def test_activations_of_a_small_network_written_out():
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    # saved: the input (5 x 4) and the first layer's activated output (5 x 8), fp32
    stand_in = nn.Sequential(nn.Flatten(), network)
    assert measure_activations(stand_in, (5, 1, 2, 2)) == 4 * (5 * 4 + 5 * 8)


@pytest.mark.parametrize("kind", ["mobilefacenet", "mobilefacenet_045g", "iresnet18"])
def test_activations_equal_those_of_a_real_pass(kind):
    backbone = BACKBONES[kind](kind=kind, embedding_dim=16).build(input_size=32)
    estimated = measure_activations(backbone, (4, 3, 32, 32))
    assert estimated == pytest.approx(really_saved(backbone, torch.randn(4, 3, 32, 32)), rel=0.02)


def test_estimating_changes_neither_statistics_nor_the_random_state():
    backbone = IResNetConfig(kind="iresnet18", embedding_dim=8, dropout=0.4).build(input_size=32)
    before = {name: t.clone() for name, t in backbone.state_dict().items()}
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    measure_activations(backbone, (4, 3, 32, 32))
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(before[name], t) for name, t in backbone.state_dict().items())
    assert all(t.device.type == "cpu" for t in backbone.parameters())


def test_parts_written_out_and_summed():
    with torch.device("meta"):
        backbone = BACKBONES["iresnet50"](kind="iresnet50").build(input_size=112)
    numbers = {"input_size": 112, "batch_size": 8, "num_classes": 1000, "embedding_dim": 512}
    estimate = estimate_training_memory(backbone, **numbers, state_tensors_per_parameter=1)
    assert count_parameters(backbone) == 43_590_848
    assert estimate.backbone_gradients == 4 * (43_590_848 - 512)  # the last norm's scale is not trained
    assert estimate.backbone_optimizer == estimate.backbone_gradients
    assert estimate.head == 4 * (3 * 1000 * 512 + 8 * 1000)
    parts = [getattr(estimate, name) for name in estimate.__dataclass_fields__]
    assert estimate.total == sum(parts)
    halved = estimate_training_memory(backbone, **numbers, state_tensors_per_parameter=1, half_precision=True)
    assert halved.activations == estimate.activations // 2
    twice = estimate_training_memory(backbone, **{**numbers, "batch_size": 16}, state_tensors_per_parameter=2)
    assert twice.activations == pytest.approx(2 * estimate.activations, rel=0.01)
    assert twice.backbone_optimizer == 2 * estimate.backbone_optimizer
