"""Every registered backbone keeps the contract: shapes, un-normalised output, gradients, state, seeded weights."""

import dataclasses
from typing import get_args, get_type_hints

import pytest
import torch
from torch import nn

from marginface.backbones import BACKBONES, BackboneConfig
from marginface.config import dump, load
from marginface.errors import InputError

LIGHT = ["iresnet18", "ir18", "mobilefacenet", "mobilefacenet_045g", "edgeface_xxs", "edgeface_xs", "vit_t"]
"""One of each family, and of each kind of layer that is cheap."""
MEDIUM = ["ir_se50", "ir152", "multiface_ir50", "multiface_ir_se50", "mobilefacenet_112x96", "mobilefacenet_large"]
MEDIUM += ["mindface_vit_t", "cvlface_vit_s"]
HEAVY = ["iresnet2060", "vit_h"]  # gigabytes of weights: built on the meta device only
TRANSFORMERS = [k for k in BACKBONES if "vit_" in k]


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


@pytest.mark.parametrize("kind, input_size", [(k, 64) for k in LIGHT] + [(k, 32) for k in MEDIUM])
def test_forward_and_backward(kind, input_size):
    torch.manual_seed(0)  # dropout and drop path
    backbone = config_of(kind, embedding_dim=32).build(input_size=input_size)
    generator = torch.Generator().manual_seed(0)
    embeddings = backbone(torch.randn(3, 3, input_size, input_size, generator=generator))
    assert embeddings.shape == (3, 32)
    assert embeddings.dtype == torch.float32
    (embeddings * torch.randn(3, 32, generator=generator)).sum().backward()
    for name, parameter in backbone.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name


@pytest.mark.slow
@pytest.mark.parametrize("kind", [k for k in BACKBONES if k not in HEAVY])
def test_forward_and_backward_at_full_size(kind):
    test_forward_and_backward(kind, 112)


@pytest.mark.parametrize("kind", LIGHT + MEDIUM)
def test_shapes_at_full_size(kind):
    with torch.device("meta"):
        backbone = config_of(kind, embedding_dim=96).build(input_size=112).eval()
        assert backbone(torch.empty(5, 3, 112, 112)).shape == (5, 96)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [k for k in BACKBONES if k not in LIGHT + MEDIUM])
def test_shapes_of_the_others_at_full_size(kind):
    test_shapes_at_full_size(kind)


@pytest.mark.parametrize("kind", LIGHT)
def test_evaluation_is_deterministic_and_draws_nothing(kind):
    backbone = config_of(kind, embedding_dim=16).build(input_size=32).eval()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    state = torch.get_rng_state()
    with torch.no_grad():
        assert torch.equal(backbone(images), backbone(images))
        torch.testing.assert_close(backbone(images[:1]), backbone(images)[:1], rtol=1e-4, atol=1e-4)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", LIGHT)
def test_output_is_not_normalised(kind):
    backbone = config_of(kind).build(input_size=64)
    norms = backbone(torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))).norm(dim=1)
    assert (norms / norms.mean() - 1).abs().max() > 0.01


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


@pytest.mark.parametrize("kind", [k for k in BACKBONES if k not in TRANSFORMERS])
@pytest.mark.parametrize("input_size", [0, 8, 100, 120])
def test_sizes_that_do_not_halve_four_times_are_refused(kind, input_size):
    with pytest.raises(InputError, match=rf"{kind} takes square images .* multiple of 16 pixels, not {input_size}"):
        config_of(kind).build(input_size=input_size)


@pytest.mark.parametrize("kind, least", [("edgeface_xxs", 32), ("vit_t", 18), ("cvlface_vit_s", 16)])
def test_sizes_below_the_least_are_refused(kind, least):
    too_small = 16 if kind == "edgeface_xxs" else least - 1
    with pytest.raises(InputError, match=rf"{kind} takes square images of .*{least} pixels.* not {too_small}"):
        config_of(kind).build(input_size=too_small)
    with torch.device("meta"):
        images = torch.empty(2, 3, least, least)
        assert config_of(kind).build(input_size=least).eval()(images).shape == (2, 512)


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


@pytest.mark.slow
@pytest.mark.parametrize("kind", LIGHT)
def test_network_can_be_exported_whole_with_any_batch(kind):
    backbone = config_of(kind, embedding_dim=16).build(input_size=32).eval()
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    exported = torch.export.export(backbone, (images[:2],), dynamic_shapes=({0: torch.export.Dim("batch")},)).module()
    with torch.no_grad():
        torch.testing.assert_close(exported(images), backbone(images), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ir18", "edgeface_xxs", "vit_t"])
def test_training_pass_compiles_as_one_graph(kind):
    settings = {"drop_path": 0.2, "mask_ratio": 0.25} if kind in TRANSFORMERS else {}
    backbone = config_of(kind, embedding_dim=16, **settings).build(input_size=32)
    compiled = torch.compile(backbone, fullgraph=True, backend="aot_eager")
    compiled(torch.randn(4, 3, 32, 32)).square().sum().backward()
    assert all(p.grad is not None for p in backbone.parameters() if p.requires_grad)
