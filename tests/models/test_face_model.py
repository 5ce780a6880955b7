"""uint8 crops in, embeddings out: the contract is applied, modes are put back, the fingerprint tells models apart."""

import dataclasses

import pytest
import torch

from marginface.backbones import MobileFaceNetConfig
from marginface.errors import InputError
from marginface.images.normalize import InputContract, normalize
from marginface.models import FaceModel, ModelCard

CONFIG = MobileFaceNetConfig(embedding_dim=8)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def model_of(seed: int = 0, **contract) -> FaceModel:
    backbone = CONFIG.build(input_size=32, seed=seed)
    return FaceModel(backbone, CONFIG, InputContract(input_size=32, **contract))


def crops(count: int = 3) -> torch.Tensor:
    return torch.randint(0, 256, (count, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def raw(model: FaceModel, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model.backbone.eval()(normalize(images, model.contract))


def test_embedding_is_the_backbone_on_normalised_crops():
    model = model_of()
    embeddings = model.embed(crops(), flip="none")
    assert embeddings.shape == (3, 8)
    assert embeddings.dtype == torch.float32
    assert not embeddings.requires_grad
    torch.testing.assert_close(embeddings, raw(model, crops()), rtol=1e-4, atol=1e-5)


def test_flip_adds_the_raw_embedding_of_the_mirrored_crop():
    model = model_of()
    expected = raw(model, crops()) + raw(model, crops().flip(2))
    torch.testing.assert_close(model.embed(crops()), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.embed(crops().flip(2)), expected, rtol=1e-4, atol=1e-5)


def test_the_contract_decides_colour_order():
    rgb, bgr = model_of(), model_of(colour_order="bgr")
    torch.testing.assert_close(bgr.embed(crops()), rgb.embed(crops().flip(3)), rtol=1e-5, atol=1e-6)


def test_one_crop_gives_what_it_gives_in_a_batch():
    model = model_of()
    torch.testing.assert_close(model.embed(crops()[:1]), model.embed(crops())[:1], rtol=1e-4, atol=1e-6)


def test_every_modules_mode_is_put_back_and_statistics_stay():
    model = model_of()
    model.train()
    model.backbone.conv1.bn.eval()  # frozen statistics, as in fine-tuning
    modes = [m.training for m in model.modules()]
    mean = model.backbone.conv2_dw.bn.running_mean.clone()
    model.embed(crops())
    assert [m.training for m in model.modules()] == modes
    assert torch.equal(model.backbone.conv2_dw.bn.running_mean, mean)


def test_modes_are_put_back_after_an_error_too():
    model = model_of().train()
    model.backbone.linear = torch.nn.Linear(3, 3)
    with pytest.raises(RuntimeError):
        model.embed(crops())
    assert all(m.training for m in model.modules())


def test_crops_of_another_size_are_refused_with_the_contract():
    with pytest.raises(
        InputError, match=r"crops are 112 x 96 pixels, .* contract says 32 x 32, aligned as arcface_112"
    ):
        model_of().embed(torch.zeros(1, 96, 112, 3, dtype=torch.uint8))


@pytest.mark.parametrize("images", [torch.zeros(1, 3, 32, 32, dtype=torch.uint8), torch.zeros(1, 32, 32, 3)])
def test_other_layouts_and_types_are_a_programmers_mistake(images):
    with pytest.raises(ValueError, match=r"embed takes \(B, H, W, 3\) uint8 RGB"):
        model_of().embed(images)


def test_an_unknown_flip_is_a_programmers_mistake():
    with pytest.raises(ValueError, match="flip is 'mean'"):
        model_of().embed(crops(), flip="mean")


def test_fingerprint_is_sixteen_hex_digits_and_repeats():
    assert model_of().fingerprint == model_of().fingerprint
    assert len(model_of().fingerprint) == 16
    int(model_of().fingerprint, 16)


def test_fingerprint_does_not_depend_on_card_memory_format_or_mode():
    model = model_of()
    before = model.fingerprint
    model.card = ModelCard(name="another")
    model.backbone.to(memory_format=torch.channels_last)
    model.train()
    assert model.fingerprint == before


@pytest.mark.parametrize("name", ["conv1.conv.weight", "bn.bias", "bn.running_mean"])
def test_fingerprint_changes_with_any_value(name):
    model = model_of()
    before = model.fingerprint
    with torch.no_grad():
        model.backbone.state_dict()[name].view(-1)[-1] += 1e-3
    assert model.fingerprint != before


def test_fingerprint_changes_with_contract_and_config():
    model = model_of()
    other_contract = FaceModel(model.backbone, CONFIG, dataclasses.replace(model.contract, colour_order="bgr"))
    other_config = FaceModel(model.backbone, MobileFaceNetConfig(embedding_dim=9), model.contract)
    assert len({model.fingerprint, other_contract.fingerprint, other_config.fingerprint}) == 3


def test_half_precision_weights_have_a_fingerprint():
    model = model_of()
    before = model.fingerprint
    model.backbone.to(torch.bfloat16)
    assert model.fingerprint != before


def test_without_a_card_the_name_is_the_backbones():
    assert model_of().name == "mobilefacenet"
    assert model_of().embedding_dim == 8
