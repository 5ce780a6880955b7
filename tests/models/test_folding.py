"""Folding changes no embedding, removes every BN that can go, and leaves the backbone as it was."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from marginface.models.drift import DriftError, check_drift, cosine_drift
from marginface.models.folding import fold_batch_norm, is_foldable
from tests.models.published import network_of, shaken


def num_norms(network: nn.Module) -> int:
    return sum(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules())


def images(side: int = 32) -> torch.Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "kind, left",
    [
        ("iresnet18", 8),
        ("ir18", 8),
        pytest.param("multiface_ir50", 24, marks=pytest.mark.slow),
        ("mobilefacenet", 0),
        ("mobilefacenet_112x96", 0),
        ("mobilefacenet_045g", 0),
        ("edgeface_xxs", 0),
        ("vit_t", 0),
        pytest.param("ir_se50", 24, marks=pytest.mark.slow),
        pytest.param("ir152", 0, marks=pytest.mark.slow),
        pytest.param("mobilefacenet_large", 0, marks=pytest.mark.slow),
        pytest.param("cvlface_vit_s", 0, marks=pytest.mark.slow),
    ],
)
def test_every_family_folds_to_the_same_embeddings(kind, left):
    network = network_of(kind)
    folded = fold_batch_norm(network, images())
    with torch.no_grad():
        expected, found = network(images()), folded(images())
    assert cosine_drift(expected, found).max() < 1e-9
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())
    assert num_norms(folded) == left


class Chain(nn.Sequential):
    """Layers one after another, with values of their own in every BN."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(*layers)
        generator = torch.Generator().manual_seed(1)
        for norm in (m for m in layers if getattr(m, "running_mean", None) is not None):
            norm.running_mean.normal_(generator=generator)
            norm.running_var.uniform_(0.5, 2.0, generator=generator)
        shaken(self)


@pytest.mark.parametrize(
    "layers, left",
    [
        ([nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)], 0),
        ([nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4, affine=False)], 0),
        ([nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1)], 0),
        ([nn.BatchNorm2d(3), nn.Conv2d(3, 6, 3, groups=3)], 0),
        ([nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, padding=1)], 1),  # the border would read zeros that BN never saw
        ([nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, padding="same")], 1),
        ([nn.BatchNorm2d(3), nn.Dropout(0.4), nn.Flatten(), nn.Linear(3 * 8 * 8, 4, bias=False)], 0),
        ([nn.Flatten(), nn.Linear(192, 5), nn.BatchNorm1d(5), nn.Linear(5, 4), nn.BatchNorm1d(4)], 0),
        ([nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)], 1),
        ([nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)], 1),
    ],
)
def test_what_is_folded_is_exact_and_what_is_not_exact_stays(layers, left):
    network = Chain(*layers).eval()
    folded = fold_batch_norm(network, images(8))
    with torch.no_grad():
        torch.testing.assert_close(folded(images(8)), network(images(8)), rtol=1e-4, atol=1e-5)
    assert num_norms(folded) == left


class ReadTwice(nn.Module):
    """A convolution whose result goes through a BN and past it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        return self.norm(x) + F.relu(x)


class CalledTwice(ReadTwice):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(self.conv(x)))


@pytest.mark.parametrize("kind", [ReadTwice, CalledTwice])
def test_a_layer_that_somebody_else_reads_or_calls_is_left_alone(kind):
    network = shaken(kind())
    folded = fold_batch_norm(network, images(8))
    with torch.no_grad():
        torch.testing.assert_close(folded(images(8)), network(images(8)))
    assert num_norms(folded) == 1


def test_the_backbone_is_not_touched():
    network = shaken(network_of("mobilefacenet"))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fold_batch_norm(network, images())
    assert list(network.state_dict()) == list(before)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(p.is_contiguous() for p in network.parameters())


def test_hooks_and_half_precision_keep_a_backbone_as_it_is():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    assert is_foldable(network)
    handle = network[0].register_forward_hook(lambda *_: None)
    assert not is_foldable(network)
    handle.remove()
    assert is_foldable(network)
    assert not is_foldable(network.half())


def test_drift_is_refused_and_so_are_nan_and_other_shapes():
    one = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    check_drift(one, one)
    check_drift(one, 3 * one)
    for other in (torch.tensor([[1.0, 0.01], [0.0, 0.0]]), one * torch.nan, one[:, :1]):
        with pytest.raises(DriftError):
            check_drift(one, other)
