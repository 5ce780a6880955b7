"""Every registered backbone keeps the contract: shapes, un-normalised output, gradients, state, seeded weights."""

import dataclasses
from typing import get_args, get_type_hints

import pytest
import torch
from torch import nn

from marginface.backbones import BACKBONES, BackboneConfig
from marginface.config import dump, load
from marginface.errors import InputError

LIGHT = [k for k in BACKBONES if k not in {"iresnet34", "iresnet50", "iresnet100", "iresnet200"}]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def config_of(kind: str, **settings) -> BackboneConfig:
    return BACKBONES[kind](kind=kind, **settings)


@pytest.mark.parametrize("kind", BACKBONES)
def test_each_key_is_a_kind_of_its_config(kind):
    assert kind in get_args(get_type_hints(BACKBONES[kind])["kind"])


@pytest.mark.parametrize("kind", BACKBONES)
def test_config_survives_a_recipe(kind):
    config = config_of(kind, embedding_dim=96)
    assert load(BACKBONES[kind], dump(config)) == config


@pytest.mark.parametrize(
    "kind, input_size", [(k, 64) for k in LIGHT] + [("mobilefacenet", 112), ("mobilefacenet_045g", 112)]
)
def test_forward_and_backward_at_both_sizes(kind, input_size):
    backbone = config_of(kind, embedding_dim=32).build(input_size=input_size)
    images = torch.randn(2, 3, input_size, input_size, generator=torch.Generator().manual_seed(0))
    embeddings = backbone(images)
    assert embeddings.shape == (2, 32)
    assert embeddings.dtype == torch.float32
    embeddings.square().mean().backward()
    for name, parameter in backbone.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


@pytest.mark.slow
@pytest.mark.parametrize("kind", BACKBONES)
def test_forward_and_backward_of_the_heavy_ones(kind):
    test_forward_and_backward_at_both_sizes(kind, 112)


@pytest.mark.parametrize("kind", LIGHT)
def test_output_is_not_normalised(kind):
    backbone = config_of(kind).build(input_size=64)
    norms = backbone(torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))).norm(dim=1)
    assert (norms - 1).abs().min() > 1
    assert norms.std() > 0.1


@pytest.mark.parametrize("kind", LIGHT)
def test_state_dict_round_trip_gives_the_same_output(kind):
    config = config_of(kind, embedding_dim=16)
    first, second = config.build(input_size=32, seed=1), config.build(input_size=32, seed=2)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    first(images)  # moves the running statistics away from their start
    second.load_state_dict(first.state_dict())
    with torch.no_grad():
        assert torch.equal(first.eval()(images), second.eval()(images))


@pytest.mark.parametrize("kind", LIGHT)
def test_weights_come_from_the_seed_and_leave_the_ambient_stream_alone(kind):
    config = config_of(kind, embedding_dim=16)
    torch.manual_seed(7)
    expected_next = torch.rand(3)
    torch.manual_seed(7)
    first = config.build(input_size=32, seed=3)
    assert torch.equal(torch.rand(3), expected_next)
    again, other = config.build(input_size=32, seed=3), config.build(input_size=32, seed=4)
    pairs = [(a, b, c) for a, b, c in zip(first.parameters(), again.parameters(), other.parameters(), strict=True)]
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert any(not torch.equal(a, c) for a, _, c in pairs)


@pytest.mark.parametrize("kind", LIGHT)
def test_channels_last_gives_the_same_embeddings(kind):
    backbone = config_of(kind, embedding_dim=16).build(input_size=64).eval()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain = backbone(images)
        rearranged = backbone.to(memory_format=torch.channels_last)(
            images.contiguous(memory_format=torch.channels_last)
        )
    torch.testing.assert_close(rearranged, plain, rtol=1e-4, atol=1e-4 * plain.abs().max().item())


@pytest.mark.parametrize("kind", LIGHT)
def test_embedding_layer_stays_in_fp32_under_autocast(kind):
    backbone = config_of(kind, embedding_dim=16).build(input_size=32)
    last_linear = [m for m in backbone.modules() if isinstance(m, nn.Linear)][-1]
    seen = []
    last_linear.register_forward_hook(lambda module, inputs, output: seen.extend([inputs[0].dtype, output.dtype]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        embeddings = backbone(torch.randn(2, 3, 32, 32))
    assert [*seen, embeddings.dtype] == [torch.float32] * 3


@pytest.mark.parametrize("kind", BACKBONES)
@pytest.mark.parametrize("input_size", [0, 8, 100, 120])
def test_sizes_that_do_not_halve_four_times_are_refused(kind, input_size):
    with pytest.raises(InputError, match=rf"{kind} takes square images .* multiple of 16 pixels, not {input_size}"):
        config_of(kind).build(input_size=input_size)


def test_images_of_another_size_are_refused_in_words():
    backbone = config_of("mobilefacenet").build(input_size=64)
    with pytest.raises(ValueError, match=r"built for images \(B, 3, 64, 64\), not \(2, 3, 112, 112\)"):
        backbone(torch.zeros(2, 3, 112, 112))


@pytest.mark.parametrize("kind", BACKBONES)
def test_an_embedding_of_no_values_is_refused(kind):
    with pytest.raises(ValueError, match="embedding_dim is 0"):
        config_of(kind, embedding_dim=0)


@pytest.mark.parametrize("kind", BACKBONES)
def test_configs_are_frozen(kind):
    with pytest.raises(dataclasses.FrozenInstanceError):
        config_of(kind).embedding_dim = 3  # type: ignore[misc]
